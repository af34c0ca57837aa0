// Command dns answers for the names of a cluster's Services, and says of every other name that
// there is none: pods of the suite reach nothing outside. It asks the API server each time.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	typeA   = 1
	classIN = 1

	noError        = 0
	formatError    = 1
	serverFailure  = 2
	noSuchName     = 3
	notImplemented = 4

	headerSize = 12
	// Resolvers keep an answer for so many seconds; Services of tests come and go.
	timeToLive = 1
)

var errNoSuchName = errors.New("no such name")

// cluster looks Services up.
type cluster struct {
	server string
	client *http.Client
}

// lookup gives the address of SERVICE.NAMESPACE.svc.cluster.local; nil for one that has none.
func (c *cluster) lookup(name string) (net.IP, error) {
	prefix, found := strings.CutSuffix(name, ".svc.cluster.local")
	service, namespace, isPair := strings.Cut(prefix, ".")
	if !found || !isPair || strings.Contains(namespace, ".") {
		return nil, errNoSuchName
	}
	response, err := c.client.Get(fmt.Sprintf("%s/api/v1/namespaces/%s/services/%s", c.server, namespace, service))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, errNoSuchName
	default:
		return nil, errors.New(response.Status)
	}
	var object struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := json.NewDecoder(response.Body).Decode(&object); err != nil {
		return nil, err
	}
	// "None" is no address, and so there is none to tell.
	return net.ParseIP(object.Spec.ClusterIP).To4(), nil
}

// question reads the one question of a query: its name, its type, and where it ends.
func question(query []byte) (name string, kind uint16, end int, ok bool) {
	if len(query) < headerSize || binary.BigEndian.Uint16(query[4:]) != 1 {
		return "", 0, 0, false
	}
	var labels []string
	at := headerSize
	for {
		if at >= len(query) {
			return "", 0, 0, false
		}
		length := int(query[at])
		at++
		if length == 0 {
			break
		}
		// Above 63 it would be a pointer, which no question has.
		if length > 63 || at+length > len(query) {
			return "", 0, 0, false
		}
		labels = append(labels, strings.ToLower(string(query[at:at+length])))
		at += length
	}
	if at+4 > len(query) {
		return "", 0, 0, false
	}
	return strings.Join(labels, "."), binary.BigEndian.Uint16(query[at:]), at + 4, true
}

func (c *cluster) answer(query []byte) []byte {
	if len(query) < headerSize {
		return nil
	}
	code, end := byte(noError), headerSize
	var address net.IP
	name, kind, questionEnd, ok := question(query)
	switch {
	case query[2]&0x78 != 0:
		code = notImplemented
	case !ok:
		code = formatError
	default:
		end = questionEnd
		found, err := c.lookup(name)
		switch {
		case errors.Is(err, errNoSuchName):
			code = noSuchName
		case err != nil:
			log.Printf("%s: %v", name, err)
			code = serverFailure
		case kind == typeA:
			address = found
		}
	}
	answer := append([]byte(nil), query[:end]...)
	// A response, with authority, recursion as it was wished and to be had.
	answer[2] = 0x84 | query[2]&0x79
	answer[3] = 0x80 | code
	for at := 4; at < headerSize; at++ {
		answer[at] = 0
	}
	if end > headerSize {
		answer[5] = 1
	}
	if address != nil {
		answer[7] = 1
		// The name is the question's.
		answer = append(answer, 0xc0, headerSize, 0, typeA, 0, classIN, 0, 0, 0, timeToLive, 0, net.IPv4len)
		answer = append(answer, address...)
	}
	return answer
}

func main() {
	listen := flag.String("listen", "", "address and port")
	server := flag.String("server", "", "URL of the API server")
	authority := flag.String("ca", "", "file with its CA")
	certificate := flag.String("cert", "", "file with the certificate to sign in with")
	key := flag.String("key", "", "file with the certificate's key")
	flag.Parse()

	pem, err := os.ReadFile(*authority)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	pair, err := tls.LoadX509KeyPair(*certificate, *key)
	if err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}},
	}
	names := &cluster{server: *server, client: &http.Client{Transport: transport, Timeout: 3 * time.Second}}

	socket, err := net.ListenPacket("udp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	for {
		buffer := make([]byte, 1232)
		length, from, err := socket.ReadFrom(buffer)
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			if answer := names.answer(buffer[:length]); answer != nil {
				// Who does not get it asks again.
				_, _ = socket.WriteTo(answer, from)
			}
		}()
	}
}
