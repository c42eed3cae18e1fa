package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"screwtape/results"
)

func (c *command) newServe() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve [DIR]",
		Short: "Show the runs that are kept to a browser",
		Long: `Show the runs below a directory (default: that of --results) to a browser. Only
reads. By default only this machine can ask.`,
		Example: `  screwtape serve
  screwtape serve --addr 127.0.0.1:9000 results/runs`,
		Args: arguments(0, 1, "[DIR]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := c.root
			if len(args) > 0 {
				dir = args[0]
				if _, err := os.Stat(dir); err != nil {
					return badArgs{err}
				}
			}
			return c.serve(cmd.Context(), addr, dir)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "listen at this `address`")
	return cmd
}

func (c *command) serve(ctx context.Context, addr, dir string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return badArgs{fmt.Errorf("--addr: %w; give another, such as 127.0.0.1:0 for any that is free", err)}
	}
	fmt.Fprintf(c.out, "http://%s/ shows the runs below %s; Ctrl-C ends it\n", listener.Addr(), dir)
	server := &http.Server{Handler: results.Handler(dir), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
