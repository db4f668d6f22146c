package soak

import "io"

// HTML writes the report as a page.
func (r *Report) HTML(w io.Writer) error { _, err := io.WriteString(w, r.Summary()); return err }
