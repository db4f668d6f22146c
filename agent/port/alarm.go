package port

import "time"

// Alarmer is a Transport that can also wake a goroutine at a given time, which costs less
// than a timer of Go's.
type Alarmer interface {
	// Alarm returns the transport's one alarm. rings gets a value when the time of the last
	// set has come. A value may also be of an earlier set, or a moment early. nil: this
	// transport has no alarm.
	Alarm() (rings <-chan time.Time, set func(after time.Duration))
}

// Alarm returns the alarm of t, or one of Go's timers if t has none.
func Alarm(t Transport) (rings <-chan time.Time, set func(after time.Duration)) {
	if a, ok := t.(Alarmer); ok {
		if rings, set = a.Alarm(); rings != nil {
			return rings, set
		}
	}
	timer := time.NewTimer(time.Hour)
	return timer.C, func(after time.Duration) { timer.Reset(after) }
}
