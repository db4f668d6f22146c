// Package client talks to the agent on this machine over its unix socket.
//
//	path, err := client.FindSocket("") // --socket, DDGOOSE_SOCKET, or the only one
//	if err != nil {
//		return err
//	}
//	c := client.New(path)
//	return c.Lead(ctx, func(ctx context.Context, lease lead.Lease) error {
//		for lease.Until() > 0 && ctx.Err() == nil {
//			act(lease.Token()) // the receiver refuses lower tokens
//		}
//		return nil
//	})
//
// Errors are told apart by errors.Is: [ErrNotRunning], and those of package
// api ([api.ErrConflict] and so on), whose text is the agent's own. This
// package imports neither memberlist nor Prometheus.
package client
