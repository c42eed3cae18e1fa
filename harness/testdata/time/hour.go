// Hour sleeps an hour in each way that there is, in a thread of its own or a
// child if its argument says so, and prints for each by how many seconds its
// clocks have moved on.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var ways = []struct {
	name string
	do   func()
}{
	{"sleep", func() { time.Sleep(time.Hour) }},
	{"after", func() { <-time.After(time.Hour) }},
	{"context", func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		<-ctx.Done()
	}},
	{"ticker", func() {
		t := time.NewTicker(30 * time.Minute)
		defer t.Stop()
		for range 2 {
			<-t.C
		}
	}},
	{"deadline", func() {
		r, w, _ := os.Pipe()
		defer w.Close()
		r.SetReadDeadline(time.Now().Add(time.Hour))
		r.Read(make([]byte, 1))
	}},
	{"accept", func() {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			panic(err)
		}
		l.SetDeadline(time.Now().Add(time.Hour))
		l.Accept()
	}},
	{"nanosleep", func() { syscall.Nanosleep(&syscall.Timespec{Sec: 3600}, nil) }},
	{"select", func() { syscall.Select(0, nil, nil, nil, &syscall.Timeval{Sec: 3600}) }},
	{"command", func() { exec.Command("sleep", "3600").Run() }},
}

func hours() {
	for _, w := range ways {
		os.Mkdir("/shared/"+w.name, 0o777) // so that nobody takes it for one that polls
		var before, after syscall.Timeval
		start := time.Now()
		syscall.Gettimeofday(&before)
		w.do()
		syscall.Gettimeofday(&after)
		end := time.Now()
		fmt.Println(w.name, "monotonic", int(end.Sub(start).Round(time.Second).Seconds()))
		fmt.Println(w.name, "realtime", int(end.Round(0).Sub(start.Round(0)).Round(time.Second).Seconds()))
		fmt.Println(w.name, "gettimeofday", after.Sec-before.Sec)
	}
}

func main() {
	place := ""
	if len(os.Args) > 1 {
		place = os.Args[1]
	}
	switch place {
	case "child":
		c := exec.Command("/proc/self/exe")
		c.Stdout = os.Stdout
		c.Run()
	case "thread":
		var done sync.WaitGroup
		done.Go(func() {
			runtime.LockOSThread()
			hours()
		})
		done.Wait()
	default:
		hours()
	}
}
