// Empty does nothing: what the start of a Go program costs at least.
package main

func main() {}
