//go:build race && linux

package warden

const raceFactor = 20 // the detector's own memory
