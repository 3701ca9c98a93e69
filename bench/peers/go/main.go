// What Go does for sessions, as a peer of bench/compare: events over WebSocket
// and POST into sorted sets, GET of a session as a tree.
//
//	peer PORT SOCKET
//
// gorilla/websocket, redigo and fastjson, as Debian packages them.  A message
// is one ZADD, a large body several of them.  Two connections to Redis are
// shared by all: the commands that wait leave in one flush.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/gomodule/redigo/redis"
	"github.com/gorilla/websocket"
	"github.com/valyala/fastjson"
)

const (
	members    = 1000 // of one ZADD
	memberSize = 112  // about
	flushAfter = 512  // commands
)

type command struct {
	name string
	args []interface{}
	done chan result
}

type result struct {
	value interface{}
	err   error
}

var (
	queue    = make(chan *command, 1024)
	parsers  fastjson.ParserPool
	prefix   string
	sequence uint32

	errNoArray = errors.New("not an array")
	errNoEvent = errors.New("not an event")
)

func main() {
	port, socket := os.Args[1], os.Args[2]

	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		log.Fatal(err)
	}
	prefix = hex.EncodeToString(random)

	go pipeline(socket)
	go pipeline(socket)

	http.HandleFunc("/ws", ws)
	http.HandleFunc("/events", post)
	http.HandleFunc("/session/", session)

	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}

func pipeline(socket string) {
	conn, err := redis.Dial("unix", socket)
	if err != nil {
		log.Fatal(err)
	}

	inFlight := make(chan *command, 4096)

	go func() {
		for cmd := range inFlight {
			value, err := conn.Receive()
			cmd.done <- result{value, err}
		}
	}()

	for cmd := range queue {
		for n := 0; cmd != nil; n++ {
			if err := conn.Send(cmd.name, cmd.args...); err != nil {
				log.Fatal(err)
			}
			inFlight <- cmd

			cmd = nil
			if n+1 < flushAfter {
				select {
				case cmd = <-queue:
				default:
				}
			}
		}

		if err := conn.Flush(); err != nil {
			log.Fatal(err)
		}
	}
}

func send(name string, args []interface{}) *command {
	cmd := &command{name, args, make(chan result, 1)}
	queue <- cmd
	return cmd
}

// How many events were stored.
func store(sid string, text []byte) (int, error) {
	parser := parsers.Get()
	defer parsers.Put(parser)

	value, err := parser.ParseBytes(text)
	if err != nil {
		return 0, err
	}

	list, err := value.Array()
	if err != nil || len(list) == 0 {
		return 0, errNoArray
	}

	key := "es:{" + sid + "}"
	var sent []*command

	for rest := list; len(rest) > 0; {
		n := len(rest)
		if n > members {
			n = members
		}

		args, err := zadd(key, rest[:n])
		if err != nil {
			return 0, err
		}

		sent = append(sent, send("ZADD", args))
		rest = rest[n:]
	}

	for _, cmd := range sent {
		if reply := <-cmd.done; reply.err != nil {
			return 0, reply.err
		}
	}

	return len(list), nil
}

func zadd(key string, list []*fastjson.Value) ([]interface{}, error) {
	args := make([]interface{}, 1, 1+2*len(list))
	args[0] = key
	buf := make([]byte, 0, len(list)*memberSize)

	for _, event := range list {
		timestamp, err := event.Get("timestamp").Int64()
		name := event.GetStringBytes("name")

		if err != nil || timestamp < 0 || name == nil ||
			string(event.GetStringBytes("type")) != "EVENT" {
			return nil, errNoEvent
		}

		begin := len(buf)
		buf = append(buf, `{"id":"`...)
		buf = append(buf, prefix...)
		buf = appendHex(buf, atomic.AddUint32(&sequence, 1))
		buf = append(buf, `","type":"EVENT","timestamp":`...)
		from := len(buf)
		buf = strconv.AppendInt(buf, timestamp, 10)
		to := len(buf)
		buf = append(buf, `,"name":`...)
		buf = appendQuoted(buf, name)
		buf = append(buf, '}')
		end := len(buf)

		args = append(args, buf[from:to:to], buf[begin:end:end])
	}

	return args, nil
}

func appendHex(buf []byte, n uint32) []byte {
	const digits = "0123456789abcdef"

	for shift := 28; shift >= 0; shift -= 4 {
		buf = append(buf, digits[n>>uint(shift)&15])
	}

	return buf
}

// Names need escapes rarely.
func appendQuoted(buf, name []byte) []byte {
	for _, c := range name {
		if c < ' ' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(string(name))
			return append(buf, quoted...)
		}
	}

	buf = append(buf, '"')
	buf = append(buf, name...)
	return append(buf, '"')
}

func appendAnswer(buf []byte, n int, err error) []byte {
	if err != nil {
		buf = append(buf, `{"err":`...)
		buf = strconv.AppendQuote(buf, err.Error())
		return append(buf, '}')
	}

	buf = append(buf, `{"ok":`...)
	buf = strconv.AppendInt(buf, int64(n), 10)
	return append(buf, '}')
}

func ws(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{
		ReadBufferSize:  4096,
		WriteBufferSize: 1024,
		CheckOrigin:     func(*http.Request) bool { return true },
	}

	sid := r.URL.Query().Get("sessionId")

	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()

	var answer []byte

	for {
		_, text, err := conn.ReadMessage()
		if err != nil {
			return
		}

		n, err := store(sid, text)
		answer = appendAnswer(answer[:0], n, err)

		if conn.WriteMessage(websocket.TextMessage, answer) != nil {
			return
		}
	}
}

func post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return
	}

	n, err := store(r.URL.Query().Get("sessionId"), body)

	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	w.Write(appendAnswer(nil, n, err))
}

func session(w http.ResponseWriter, r *http.Request) {
	key := "es:{" + r.URL.Path[len("/session/"):] + "}"
	reply := <-send("ZRANGE", []interface{}{key, 0, -1}).done

	list, err := redis.ByteSlices(reply.value, reply.err)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if len(list) == 0 {
		http.NotFound(w, r)
		return
	}

	size := memberSize
	for _, member := range list {
		size += len(member)
	}

	body := make([]byte, 0, size)
	body = append(body, `{"type":"SESSION","start":`...)
	body = append(body, timestampOf(list[0])...)
	body = append(body, `,"end":`...)
	body = append(body, timestampOf(list[len(list)-1])...)
	body = append(body, `,"children":[`...)

	for i, member := range list {
		if i > 0 {
			body = append(body, ',')
		}
		// without the id: from "type" on
		body = append(body, '{')
		body = append(body, member[25:]...)
	}

	body = append(body, `]}`...)

	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func timestampOf(member []byte) []byte {
	const name = `"timestamp":`

	from := bytes.Index(member, []byte(name)) + len(name)
	to := from

	for to < len(member) && member[to] >= '0' && member[to] <= '9' {
		to++
	}

	return member[from:to]
}
