// Go compiles a function without a body, as round.go has one, only beside a file of assembly.
