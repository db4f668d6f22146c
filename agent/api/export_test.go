package api

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"time"
)

// What the tests of this package's face must know of its inside.
const (
	HeaderTime  = headerTime
	IdleTime    = idleTime
	AnswerTime  = answerTime
	BodyTime    = bodyTime
	MaxBody     = maxBody
	MaxLine     = maxLine
	PublicConns = publicConns
	LocalConns  = localConns

	StrangerConns = strangerConns
	LastWords     = lastWords
)

// MaxSocketPath is how many bytes of path the system takes, its closing zero included.
func MaxSocketPath() int { return maxSocketPath }

// LockFolder takes the lock that ListenSocket takes, waiting for so long.
func LockFolder(folder string, wait time.Duration) (unlock func(), err error) {
	return lockFolder(folder, wait)
}

// CheckFolderAs is CheckSocketFolder for another user.
func CheckFolderAs(uid int, folder string) error { return checkFolder(folder, uid) }

// HandlerFor serves b without a listener, as if a process of this user called;
// -1: a user that the system does not tell.
func HandlerFor(b Backend, scope Scope, uid int) http.Handler {
	h := NewServer(b, scope, nil).h
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := peer{known: uid >= 0, pid: 1, uid: uid}
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, p)))
	})
}

// HearLines lets a session hear what a holder wrote, and gives its complaint.
func HearLines(h Holder, lines []byte) error {
	s := &session{holder: h, wake: make(chan struct{}, 1)}
	s.readLines(bufio.NewScanner(bytes.NewReader(lines)))
	return s.mu.fault
}

// SetClock replaces the boot clock. Call it before Serve.
func (s *Server) SetClock(clock func() time.Duration) { s.h.clock = clock }
