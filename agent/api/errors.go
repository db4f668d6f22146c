package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// What can go wrong with a request, for errors.Is. The server turns each into
// a status code, and the client turns the code back into the error.
var (
	ErrInput      = errors.New("bad input")             // 400
	ErrForbidden  = errors.New("not permitted")         // 403
	ErrNotFound   = errors.New("not found")             // 404
	ErrMethod     = errors.New("method not allowed")    // 405
	ErrConflict   = errors.New("wrong state")           // 409
	ErrInternal   = errors.New("the agent has failed")  // 500
	ErrNoMajority = errors.New("no majority of voters") // 503
	ErrTimeout    = errors.New("not done in time")      // 504
)

// codes maps errors to status codes, both ways.
var codes = []struct {
	kind error
	code int
}{
	{ErrInput, http.StatusBadRequest},
	{ErrForbidden, http.StatusForbidden},
	{ErrNotFound, http.StatusNotFound},
	{ErrMethod, http.StatusMethodNotAllowed},
	{ErrConflict, http.StatusConflict},
	{ErrNoMajority, http.StatusServiceUnavailable},
	{ErrTimeout, http.StatusGatewayTimeout},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
	{context.Canceled, http.StatusGatewayTimeout},
	{ErrInternal, http.StatusInternalServerError},
}

// The codes of this package and of the agent. Package member has those of the
// commands that the rules refuse.
const (
	CodeDead        = "dead"        // by simulation
	CodeNoAgent     = "no-agent"    // of that name
	CodeNoElection  = "no-election" // of that name
	CodeNoKeys      = "no-keys"     // the flock seals nothing
	CodeKeyUnknown  = "key-unknown" // no live agent holds it
	CodeKeyMissing  = "key-missing" // not all agents hold it
	CodeKeyInUse    = "key-in-use"  // some agents seal with it
	CodeUncontested = "uncontested" // this agent only votes in the election
)

// Failure is one of the errors above with a text for people. The text says what was
// wrong, with the value, and what would be right.
type Failure struct {
	Kind error  // ErrInput, ErrConflict, ...
	Code string // for programs, which of the kind it is; "": no code of its own
	Text string
}

// Error returns the text alone.
func (f *Failure) Error() string { return f.Text }

// Unwrap gives the kind, for errors.Is.
func (f *Failure) Unwrap() error { return f.Kind }

func failure(kind error, format string, args []any) error {
	return &Failure{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Input returns an ErrInput: the request is wrong at any time.
func Input(format string, args ...any) error { return failure(ErrInput, format, args) }

// Forbidden returns an ErrForbidden: the caller may not do this.
func Forbidden(format string, args ...any) error { return failure(ErrForbidden, format, args) }

// NotFound returns an ErrNotFound: what the request names does not exist.
func NotFound(format string, args ...any) error { return failure(ErrNotFound, format, args) }

// Conflict returns an ErrConflict: the request does not fit the present state.
func Conflict(format string, args ...any) error { return failure(ErrConflict, format, args) }

// Timeout returns an ErrTimeout: begun, but not known to be done in time.
func Timeout(format string, args ...any) error { return failure(ErrTimeout, format, args) }

// Code returns the HTTP status of an error: 500 unless it is one of the above.
func Code(err error) int {
	for _, c := range codes {
		if errors.Is(err, c.kind) {
			return c.code
		}
	}
	return http.StatusInternalServerError
}

// WithCode adds a code for programs to one of the errors above.
func WithCode(code string, err error) error {
	var f *Failure
	if errors.As(err, &f) {
		return &Failure{Kind: f.Kind, Code: code, Text: f.Text}
	}
	return err
}

// CodeOf returns the code of an error; "": none.
func CodeOf(err error) string {
	var f *Failure
	if errors.As(err, &f) {
		return f.Code
	}
	return ""
}

// FromCode returns the error that an answer of this status stands for.
func FromCode(status int, e Error) error {
	for _, c := range codes {
		if c.code == status {
			return &Failure{Kind: c.kind, Code: e.Code, Text: e.Error}
		}
	}
	return &Failure{Kind: ErrInternal, Code: e.Code, Text: fmt.Sprintf("%s (status %d)", e.Error, status)}
}
