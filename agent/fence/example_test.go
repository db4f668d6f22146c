package fence_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"duckduckgoose/agent/fence"
)

// A server keeps the highest token it has seen, and refuses lower ones.
func ExampleGuard() {
	var g fence.Guard
	for _, token := range []uint64{7, 7, 9, 7} { // the goose of term 7 was paused when 9 took over
		if err := g.Check(token); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println("written with token", token)
	}
	// Output:
	// written with token 7
	// written with token 7
	// written with token 9
	// token 7 is refused: token 9 has been seen, so a newer goose is at work
}

// What runs now and then keeps it in a file.
func ExampleCheck() {
	dir, err := os.MkdirTemp("", "fence")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "token")
	fmt.Println(fence.Check(path, 7))
	fmt.Println(fence.Check(path, 9))
	fmt.Println(errors.Is(fence.Check(path, 7), fence.ErrStale))
	// Output:
	// <nil>
	// <nil>
	// true
}

// Do lets nobody else act meanwhile.
func ExampleFile_Do() {
	dir, err := os.MkdirTemp("", "fence")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	f := fence.File{Path: filepath.Join(dir, "token"), FlockID: "c0ffee"}
	err = f.Do(context.Background(), 9, func(context.Context) error {
		fmt.Println("rotated")
		return nil
	})
	fmt.Println(err)
	// Output:
	// rotated
	// <nil>
}
