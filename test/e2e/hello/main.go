// Hello answers HTTP requests: an image for the tests' Knative Services. It takes its
// time where DELAY, a duration, says so: then it serves as a registry that is slow.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"
)

func main() {
	delay, err := time.ParseDuration(os.Getenv("DELAY"))
	if err != nil && os.Getenv("DELAY") != "" {
		log.Fatal(err)
	}
	server := http.Server{
		Addr: ":" + os.Getenv("PORT"), // as Knative sets it
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(delay)
			fmt.Fprintln(w, "hello")
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
