// Package fence protects a resource from former geese: it lets a goose act only if no
// newer goose has acted before.
//
// No lease stops a process that was paused between its check and its act, so a former
// goose may still send a write when another one is at work. The receiver of writes
// keeps the highest token it has seen and refuses lower ones:
//
//	var g fence.Guard                    // in memory: a server that outlives its clients
//	if err := g.Check(token); err != nil {
//		return err                       // fence.ErrStale
//	}
//
//	err := fence.Check(path, token)      // on disk: a program that runs now and then
//
//	f := fence.File{Path: path}
//	err := f.Do(ctx, token, act)         // and nobody else acts meanwhile
//
// Equal tokens pass, so one goose can act many times. A check protects the act that
// follows only if no other act comes between. Do holds a lock for that. With Guard the
// caller holds one, or passes the token on to the storage.
//
// Tokens of different flocks cannot be compared. Pass the flock_id if two flocks could
// reach the same resource.
package fence
