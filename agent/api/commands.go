package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBody bounds the body of a command.
	maxBody = 64 << 10
	// bodyTime bounds how long a command's body may take to come.
	bodyTime = 5 * time.Second
)

// decode reads a command's body into v. An empty body leaves v as it is.
func decode(w http.ResponseWriter, r *http.Request, v any) error {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // a recorder in a test has none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		expectNoMore(w)
		var tooBig *http.MaxBytesError
		var slow net.Error
		switch {
		case errors.As(err, &tooBig):
			return Input("the body is larger than %d bytes", maxBody)
		case errors.As(err, &slow) && slow.Timeout():
			return Input("the body did not come within %v", bodyTime)
		}
		return Input("read the body: %v", err)
	}
	_ = rc.SetReadDeadline(time.Time{})
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	return strict(body, v)
}

// strict decodes one JSON document, and refuses unknown fields.
func strict(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badJSON(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Input("there is text after the JSON document: want exactly one document")
	}
	if bytes.Equal(bytes.TrimSpace(b), []byte("null")) {
		return Input("the body is a JSON null: want an object") // Decode takes it for {}
	}
	return nil
}

// badJSON rewords the decoder's errors in terms of the API instead of Go.
func badJSON(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return Input("field %q has the wrong type: a JSON %s", kind.Field, kind.Value)
	case errors.As(err, &kind):
		return Input("the body is a JSON %s: want an object", kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return Input("the JSON document ends too early")
	}
	return Input("%s", strings.TrimPrefix(err.Error(), "json: ")) // unknown field "x" is here
}

// duration reads a duration of the API; "" is 0.
func duration(field, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, Input("field %q: %.40q: want a duration above 0, such as 10s or 250ms", field, s)
	}
	return d, nil
}

// command reads the body, calls do, and writes its answer.
func command[In, Out any](do func(*handler, context.Context, In) (Out, error)) routeDo {
	return func(h *handler, w http.ResponseWriter, r *http.Request) error {
		var in In
		if err := decode(w, r, &in); err != nil {
			return err
		}
		out, err := do(h, r.Context(), in)
		return reply(w, out, err)
	}
}

// none is an empty body or answer.
type none = struct{}

func (h *handler) stepDown(e ElectionBackend, w http.ResponseWriter, r *http.Request) error {
	return command(func(_ *handler, ctx context.Context, in StepDownRequest) (StepDownReply, error) {
		goose, err := e.StepDown(ctx, in.To, in.Force)
		return StepDownReply{Goose: goose}, err
	})(h, w, r)
}

func (h *handler) leave(ctx context.Context, in LeaveRequest) (none, error) {
	return none{}, h.b.Leave(ctx, in.Force)
}

func (h *handler) forceLeave(ctx context.Context, in ForceLeaveRequest) (none, error) {
	if in.Name == "" {
		return none{}, Input("field \"name\" is missing: want the name of the voter that will never return")
	}
	return none{}, h.b.ForceLeave(ctx, in.Name)
}

func (h *handler) join(ctx context.Context, in JoinRequest) (JoinReply, error) {
	if len(in.Addrs) == 0 {
		return JoinReply{}, Input("field \"addrs\" is missing or empty: want addresses such as [\"10.0.0.1:3825\"]")
	}
	n, err := h.b.Join(ctx, in.Addrs)
	return JoinReply{Joined: n}, err
}

func (h *handler) die(_ context.Context, in DeathRequest) (none, error) {
	d, err := duration("for", in.For)
	if err != nil {
		return none{}, err
	}
	return none{}, h.b.Die(d)
}

func (h *handler) revive(context.Context, none) (none, error) { return none{}, h.b.Revive() }

func (h *handler) faults() (Faults, error) {
	f := h.b.Faults()
	if f == nil {
		return nil, NotFound("this agent was started without fault rules (netem)")
	}
	return f, nil
}

func (h *handler) netemShow(w http.ResponseWriter, _ *http.Request) error {
	f, err := h.faults()
	if err != nil {
		return err
	}
	return reply(w, f.Show(), nil)
}

func (h *handler) netemSet(w http.ResponseWriter, r *http.Request) error {
	f, err := h.faults()
	if err != nil {
		return err
	}
	var in NetemRequest
	if err := decode(w, r, &in); err != nil {
		return err
	}
	if in.Rules == "" {
		return Input("field \"rules\" is missing or empty: want rules such as \"*: loss 10%%\", or DELETE to clear them")
	}
	d, err := duration("for", in.For)
	if err != nil {
		return err
	}
	if err := f.Set(in.Rules, d); err != nil {
		return &Failure{Kind: ErrInput, Text: err.Error()}
	}
	return reply(w, f.Show(), nil)
}

func (h *handler) netemClear(w http.ResponseWriter, r *http.Request) error {
	f, err := h.faults()
	if err != nil {
		return err
	}
	if err := decode(w, r, &none{}); err != nil {
		return err
	}
	f.Clear()
	return reply(w, f.Show(), nil)
}

func reply(w http.ResponseWriter, v any, err error) error {
	if err == nil {
		writeJSON(w, http.StatusOK, v)
	}
	return err
}
