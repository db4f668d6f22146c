// Package fence is the resource's side of fencing: it lets a goose act only if
// no newer one has been heard of.
//
// No lease stops a process that was paused between its check and its act, so a
// former goose may still send something when another one is at work. Whoever is
// acted upon keeps the highest token it has seen and refuses lower ones:
//
//	var g fence.Guard                    // in memory: a server that outlives its clients
//	if err := g.Check(token); err != nil {
//		return err                       // fence.ErrStale
//	}
//
//	err := fence.Check(path, token)      // on disk: whatever runs now and then
//
//	f := fence.File{Path: path}
//	err := f.Do(ctx, token, act)         // and nobody else acts meanwhile
//
// Equal tokens pass: one goose acts many times. A check protects an act that follows it only
// if no other act gets between the two: Do holds a lock for that, and with Guard the
// caller does, or hands the token on to what it writes to.
//
// Tokens of different flocks cannot be compared. Give the flock_id where two
// flocks could reach the same resource.
package fence
