package bench

import (
	"context"
	"fmt"
	"time"
)

// lookEvery is how often wait looks while nothing changes: an agent that ends by itself
// changes nothing.
const lookEvery = 100 * time.Millisecond

// wait looks at every change until it is done or an error.
func wait(ctx context.Context, what string, limit time.Duration, look func() (done bool, changed <-chan struct{}, err error)) error {
	timer, tick := time.NewTimer(limit), time.NewTicker(lookEvery)
	defer timer.Stop()
	defer tick.Stop()
	for {
		done, changed, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return fmt.Errorf("waited %v for %s", limit, what)
		}
	}
}
