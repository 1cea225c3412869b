package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

// plugin serves one resource to the kubelet.
type plugin struct {
	api.UnimplementedDevicePluginServer
	resource, node, sockets string

	server     *grpc.Server
	registered os.FileInfo // the kubelet's socket when we registered there: another one means another kubelet

	mu      sync.Mutex
	devices []*api.Device
	changed chan struct{} // closed and replaced whenever devices change
}

func newPlugin(resource, node, sockets string) *plugin {
	return &plugin{resource: resource, node: node, sockets: sockets, changed: make(chan struct{})}
}

func (p *plugin) profile() string { return p.resource[strings.LastIndex(p.resource, "/")+1:] }

func (p *plugin) socket() string {
	return filepath.Join(p.sockets, "slicewise-"+strings.ReplaceAll(p.profile(), ".", "-")+".sock")
}

// offer sets the devices: count of them, those in dead unhealthy. The kubelet is told when that differs from before.
func (p *plugin) offer(count int, dead map[string]bool) {
	devices := make([]*api.Device, count)
	for i := range devices {
		id := fmt.Sprintf("%s-%s-%d", p.node, p.profile(), i)
		devices[i] = &api.Device{ID: id, Health: api.Healthy}
		if dead[id] {
			devices[i].Health = api.Unhealthy
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.devices != nil && slices.EqualFunc(p.devices, devices, alike) {
		return
	}
	p.devices = devices
	close(p.changed)
	p.changed = make(chan struct{})
	log.Printf("%s: %v", p.resource, devices)
}

// alike compares what a device says. Its other fields are protobuf's own, which sending changes.
func alike(a, b *api.Device) bool { return a.ID == b.ID && a.Health == b.Health }

// ensureRegistered serves and registers where that was not done yet with the kubelet that runs now. A kubelet that
// starts removes all sockets of its folder and makes its own anew.
func (p *plugin) ensureRegistered(ctx context.Context) error {
	kubelet, err := os.Stat(filepath.Join(p.sockets, "kubelet.sock"))
	if err != nil {
		return err
	}
	_, ours := os.Stat(p.socket())
	if p.registered != nil && ours == nil && os.SameFile(kubelet, p.registered) && kubelet.ModTime().Equal(p.registered.ModTime()) {
		return nil
	}
	p.stop()
	listener, err := net.Listen("unix", p.socket())
	if err != nil {
		return err
	}
	p.server = grpc.NewServer()
	api.RegisterDevicePluginServer(p.server, p)
	go func(s *grpc.Server) { _ = s.Serve(listener) }(p.server)
	if err := p.register(ctx); err != nil {
		return err
	}
	p.registered = kubelet
	log.Printf("%s: registered", p.resource)
	return nil
}

func (p *plugin) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := grpc.NewClient("unix://"+filepath.Join(p.sockets, "kubelet.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = api.NewRegistrationClient(conn).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: filepath.Base(p.socket()), ResourceName: p.resource, Options: &api.DevicePluginOptions{},
	})
	return err
}

func (p *plugin) stop() {
	if p.server != nil {
		p.server.Stop()
	}
	p.server, p.registered = nil, nil
	_ = os.Remove(p.socket())
}

// GetDevicePluginOptions says that no call before a container's start is wanted.
func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch sends all devices, and again after each change.
func (p *plugin) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	for {
		p.mu.Lock()
		devices, changed := p.devices, p.changed
		p.mu.Unlock()
		if err := stream.Send(&api.ListAndWatchResponse{Devices: devices}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		}
	}
}

// Allocate names the devices to their container, as NVIDIA's runtime would be told.
func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, c := range request.ContainerRequests {
		ids := strings.Join(c.GetDevicesIds(), ",")
		log.Printf("%s: allocates %s", p.resource, ids)
		response.ContainerResponses = append(response.ContainerResponses,
			&api.ContainerAllocateResponse{Envs: map[string]string{"NVIDIA_VISIBLE_DEVICES": ids}})
	}
	return response, nil
}
