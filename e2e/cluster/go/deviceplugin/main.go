// A device plugin that offers slices of GPUs that are not there: for tests of what happens around a slice (capacity,
// allocation, death), not of what computes on it. It speaks the kubelet's device-plugin API v1beta1.
//
// What it offers is read from --control twice a second, so that a test can change it on the node:
//
//	<control>/devices          lines "resource=count"; replaces $RESOURCES while it is there
//	<control>/unhealthy/<id>   the device with that id is dead for as long as the file is there
//
// Device ids are <node>-<profile>-<index>, unique in the cluster. A container gets its ids as NVIDIA_VISIBLE_DEVICES.
package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const tick = 500 * time.Millisecond

func main() {
	log.SetFlags(log.LUTC | log.LstdFlags)
	control := setting("CONTROL_DIR", "/var/lib/slicewise-deviceplugin")
	sockets := setting("SOCKET_DIR", "/var/lib/kubelet/device-plugins")
	node := setting("NODE_NAME", "node")
	if err := os.MkdirAll(filepath.Join(control, "unhealthy"), 0o755); err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	plugins := map[string]*plugin{}
	for {
		offers, err := readOffers(control, setting("RESOURCES", "nvidia.com/mig-1g.10gb=2"))
		if err != nil {
			log.Printf("control file: %v", err) // what was offered before stays
		} else {
			for resource := range offers {
				if plugins[resource] == nil {
					plugins[resource] = newPlugin(resource, node, sockets)
				}
			}
			dead := readDead(control)
			for resource, p := range plugins {
				p.offer(offers[resource], dead)
			}
		}
		for _, p := range plugins {
			if err := p.ensureRegistered(ctx); err != nil && !errors.Is(err, os.ErrNotExist) {
				log.Printf("%s: %v", p.resource, err) // tried again with the next tick
			}
		}
		select {
		case <-ctx.Done():
			for _, p := range plugins {
				p.stop()
			}
			return
		case <-time.After(tick):
		}
	}
}

func setting(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
