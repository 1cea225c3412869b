// Serves one folder of model files over HTTP inside the test cluster, with Range requests and ETags by size and time, as
// hubs and object stores do. /slow/<bytes per second>/<file> serves the same files at that rate, so that a test can look at
// a download under way.
package main

import (
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	folder := "/models"
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	files := http.FileServer(http.Dir(folder))
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("/slow/{rate}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		rate, err := strconv.Atoi(r.PathValue("rate"))
		if err != nil || rate <= 0 {
			http.Error(w, "the rate is a number of bytes per second", http.StatusBadRequest)
			return
		}
		r.URL.Path = "/" + r.PathValue("path")
		files.ServeHTTP(&slow{ResponseWriter: w, rate: rate}, r)
	})
	logged := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.Printf("%s %s %s range=%q", r.RemoteAddr, r.Method, r.URL.Path, r.Header.Get("Range"))
		mux.ServeHTTP(w, r)
	})
	server := &http.Server{Addr: ":8080", Handler: logged, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// slow writes at most rate bytes a second, in ten pieces a second.
type slow struct {
	http.ResponseWriter
	rate int
}

func (s *slow) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		n, err := s.ResponseWriter.Write(data[written:min(len(data), written+max(1, s.rate/10))])
		written += n
		if err != nil {
			return written, err
		}
		_ = http.NewResponseController(s.ResponseWriter).Flush()
		time.Sleep(100 * time.Millisecond)
	}
	return written, nil
}
