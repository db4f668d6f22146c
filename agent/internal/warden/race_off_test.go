//go:build !race && linux

package warden

const raceFactor = 1
