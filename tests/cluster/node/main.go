// Node answers the one request that the API server sends to a kubelet when a Pod's port is forwarded. It runs no Pods:
// the tests start a server on the address that they write into a Pod's status, and node connects to that address.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
)

const (
	// Container runtimes (containerd, CRI-O) wait this long for the second direction after the first one ended, because
	// the WebSocket protocol of port-forward cannot say that one direction ended.
	lingerAfterFirstEnd = time.Second
	// Defaults of the kubelet.
	idleTimeout           = 4 * time.Hour
	streamCreationTimeout = 30 * time.Second
)

func main() {
	listen := flag.String("listen", "", "address and port of the kubelet endpoint")
	certificate := flag.String("tls-cert-file", "", "certificate of the endpoint")
	key := flag.String("tls-private-key-file", "", "key of the certificate")
	apiServer := flag.String("api-server", "", "URL of the API server, asked for the addresses of Pods")
	token := flag.String("token", "", "bearer token for the API server")
	flag.Parse()

	pods := podFinder{apiServer: *apiServer, token: *token, client: &http.Client{
		Timeout: 10 * time.Second,
		// A private network namespace: nobody else can answer here.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	routes := http.NewServeMux()
	routes.HandleFunc("/portForward/{namespace}/{pod}", pods.servePortForward)
	server := http.Server{
		Addr:    *listen,
		Handler: routes,
		// An upgrade needs HTTP/1.1.
		TLSConfig:    &tls.Config{NextProtos: []string{"http/1.1"}},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	log.Fatal(server.ListenAndServeTLS(*certificate, *key))
}

// podFinder knows where the server of a Pod listens.
type podFinder struct {
	apiServer string
	token     string
	client    *http.Client
}

func (f podFinder) servePortForward(w http.ResponseWriter, r *http.Request) {
	namespace, pod := r.PathValue("namespace"), r.PathValue("pod")
	address, err := f.address(r.Context(), namespace, pod)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, podNetwork(address), pod, "", options,
		idleTimeout, streamCreationTimeout, portforward.SupportedProtocols)
}

func (f podFinder) address(ctx context.Context, namespace, pod string) (string, error) {
	url := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s", f.apiServer, namespace, pod)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+f.token)
	response, err := f.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var found struct{ Status struct{ PodIP string } }
	if err := json.NewDecoder(response.Body).Decode(&found); err != nil {
		return "", err
	}
	if found.Status.PodIP == "" {
		return "", errors.New("pod does not exist")
	}
	return found.Status.PodIP, nil
}

// podNetwork is the address of the Pod whose ports are forwarded.
type podNetwork string

func (address podNetwork) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(string(address), strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := make(chan error, 2)
	go copyUntilEnd(conn, stream, ended)
	go copyUntilEnd(stream, conn, ended)
	err = <-ended
	select {
	case <-ended:
	case <-time.After(lingerAfterFirstEnd):
	}
	return err
}

func copyUntilEnd(to io.Writer, from io.Reader, ended chan<- error) {
	_, err := io.Copy(to, from)
	ended <- err
}
