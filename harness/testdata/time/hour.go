// Hour sleeps an hour in the way that its argument names, in a goroutine if
// there is a second one, and prints by how many seconds its clock has moved on.
package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

func hour(how string) {
	switch how {
	case "sleep":
		time.Sleep(time.Hour)
	case "after":
		<-time.After(time.Hour)
	case "context":
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		<-ctx.Done()
	default:
		os.Exit(3)
	}
}

func main() {
	start := time.Now()
	if len(os.Args) > 2 {
		done := make(chan bool)
		go func() { hour(os.Args[1]); close(done) }()
		<-done
	} else {
		hour(os.Args[1])
	}
	fmt.Println(int(time.Since(start).Seconds()))
}
