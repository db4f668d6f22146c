// Package top is the live screen of a flock, for a terminal.
//
//	Source ── Picture ──> model ── view ──> lines ──> terminal
//	              keys ────^
//
// The model and the view are pure: what is shown follows from the pictures
// taken, the keys pressed and the window's size alone. [Run] is the edge: it
// takes pictures, reads keys, asks the agent that is looked into, and draws.
package top
