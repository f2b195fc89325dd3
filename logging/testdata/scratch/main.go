// scratch is an application whose image holds nothing but itself. It stops as nginx does: by QUIT, and in its own time.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGQUIT)
	fmt.Println(`{"level":"info","msg":"listening","user_id":"7"}`)
	fmt.Fprintln(os.Stderr, "warning: no database yet")
	<-stop
	fmt.Print("stopped")
	os.Exit(7)
}
