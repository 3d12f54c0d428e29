// An echo server in Go: a goroutine for each connection.
//
//	go build -o target/peers/echo-go examples/peers/echo.go && target/peers/echo-go 7007
//
// Go sets TCP_NODELAY, and its backlog is the maximum of the kernel. `io.Copy(conn, conn)` would be shorter. On Linux
// it uses splice(2), which needs two more descriptors for each connection.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: echo-go PORT")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on tcp://%s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			// Most likely all descriptors are in use. The connection stays in the backlog.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go echo(conn)
	}
}

// Echoes until the end of input or an error. A write waits for a slow reader, and nothing is read meanwhile.
func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	for {
		count, err := conn.Read(buffer)
		if err != nil {
			return
		}
		if _, err := conn.Write(buffer[:count]); err != nil {
			return
		}
	}
}
