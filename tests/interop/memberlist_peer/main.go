// A member of a hashicorp/memberlist cluster, or several, as the other side of the interop tests.
//
// Events are written to standard output, one JSON object per line. Commands are read from standard
// input, one per line: "members", "meta HEX", "join ADDRESS...", "leave", "quit". Every member of this
// process executes the command and reports its outcome. At the end of the input the process ends
// without a message to the other members.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const leaveTimeout = 5 * time.Second

// node is a member in the view of another one. State is known only from the push-pull of a join: the
// library does not reveal its own view of the state.
type node struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Port     uint16   `json:"port"`
	Meta     string   `json:"meta"`
	State    string   `json:"state,omitempty"`
	Versions [6]uint8 `json:"versions"`
}

// line is one line of output. At is in seconds of Unix time; Observer is the member with the event.
type line struct {
	Event    string  `json:"event"`
	At       float64 `json:"at"`
	Observer string  `json:"observer"`
	Node     *node   `json:"node,omitempty"`
	Members  []node  `json:"members,omitempty"`
	Count    int     `json:"count"`
	Error    string  `json:"error"`
}

func seen(n *memberlist.Node) node {
	return node{
		n.Name, n.Addr.String(), n.Port, hex.EncodeToString(n.Meta), "",
		[6]uint8{n.PMin, n.PMax, n.PCur, n.DMin, n.DMax, n.DCur},
	}
}

// printer writes lines in the order in which they were reported. report never blocks.
type printer struct {
	lock  sync.Mutex
	lines []line
	wake  chan struct{}
}

func (p *printer) report(l line) {
	l.At = float64(time.Now().UnixNano()) / 1e9
	p.lock.Lock()
	p.lines = append(p.lines, l)
	p.lock.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *printer) run() {
	encoder := json.NewEncoder(os.Stdout)
	for range p.wake {
		p.lock.Lock()
		lines := p.lines
		p.lines = nil
		p.lock.Unlock()
		for _, l := range lines {
			if encoder.Encode(l) != nil {
				os.Exit(1)
			}
		}
	}
}

// member is one member of this process: the delegate of memberlist for metadata and events.
type member struct {
	name string
	meta atomic.Pointer[[]byte]
	out  *printer
	list *memberlist.Memberlist
}

func (m *member) NodeMeta(limit int) []byte              { return *m.meta.Load() }
func (m *member) NotifyMsg([]byte)                       {}
func (m *member) GetBroadcasts(overhead, n int) [][]byte { return nil }
func (m *member) LocalState(join bool) []byte            { return nil }
func (m *member) MergeRemoteState(buf []byte, join bool) {}
func (m *member) NotifyJoin(n *memberlist.Node)          { m.event("join", n) }
func (m *member) NotifyLeave(n *memberlist.Node)         { m.event("leave", n) }
func (m *member) NotifyUpdate(n *memberlist.Node)        { m.event("update", n) }

// NotifyMerge is called with all members of the other side, when either joins the other.
func (m *member) NotifyMerge(nodes []*memberlist.Node) error {
	reported := line{Event: "merge", Observer: m.name, Count: len(nodes)}
	for _, n := range nodes {
		copied := seen(n)
		copied.State = stateOf(n)
		reported.Members = append(reported.Members, copied)
	}
	m.out.report(reported)
	return nil
}

func (m *member) event(name string, n *memberlist.Node) {
	copied := seen(n)
	m.out.report(line{Event: name, Observer: m.name, Node: &copied})
}

func (m *member) done(name string, count int, err error) {
	reported := line{Event: name, Observer: m.name, Count: count}
	if err != nil {
		reported.Error = err.Error()
	}
	m.out.report(reported)
}

// execute executes a command and reports its outcome.
func (m *member) execute(words []string) {
	switch words[0] {
	case "members":
		reported := line{Event: "members", Observer: m.name}
		for _, n := range m.list.Members() {
			reported.Members = append(reported.Members, seen(n))
		}
		reported.Count = len(reported.Members)
		m.out.report(reported)
	case "meta":
		meta, err := hex.DecodeString(strings.Join(words[1:], ""))
		if err == nil {
			m.meta.Store(&meta)
			err = m.list.UpdateNode(leaveTimeout)
		}
		m.done("changed", 0, err)
	case "join":
		count, err := m.list.Join(words[1:])
		m.done("joined", count, err)
	case "leave":
		m.done("left", 0, m.list.Leave(leaveTimeout))
	default:
		m.done("unknown", 0, fmt.Errorf("%s: want members, meta, join, leave or quit", words[0]))
	}
}

type options struct {
	name, bind, key, label, meta, preset, delegate, join string
	port, protocol, count                                int
	compression                                          bool
}

func parse() options {
	var o options
	flag.StringVar(&o.name, "name", "peer", "name; with -count: prefix of the names")
	flag.StringVar(&o.bind, "bind", "127.0.0.1", "address")
	flag.IntVar(&o.port, "port", 7946, "port; with -count: the first one")
	flag.IntVar(&o.count, "count", 1, "number of members, each joined to the first one")
	flag.StringVar(&o.key, "key", "", "secret key, hexadecimal")
	flag.StringVar(&o.label, "label", "", "label of all packets and streams")
	flag.StringVar(&o.meta, "meta", "", "metadata, hexadecimal")
	flag.IntVar(&o.protocol, "protocol", 2, "version of the protocol")
	flag.StringVar(&o.delegate, "delegate", "0,0,0", "least, most and current version of the application")
	flag.BoolVar(&o.compression, "compression", true, "compress what is sent")
	flag.StringVar(&o.preset, "preset", "lan", "lan, wan or local")
	flag.StringVar(&o.join, "join", "", "addresses to join, with commas")
	flag.Parse()
	return o
}

func (o options) config(index int) (*memberlist.Config, error) {
	presets := map[string]func() *memberlist.Config{
		"lan": memberlist.DefaultLANConfig, "wan": memberlist.DefaultWANConfig,
		"local": memberlist.DefaultLocalConfig,
	}
	preset, ok := presets[o.preset]
	if !ok {
		return nil, fmt.Errorf("-preset %s: want lan, wan or local", o.preset)
	}
	config := preset()
	config.Name = o.name
	if o.count > 1 {
		config.Name = fmt.Sprintf("%s-%d", o.name, index)
	}
	config.BindAddr, config.BindPort, config.AdvertisePort = o.bind, o.port+index, o.port+index
	config.ProtocolVersion = uint8(o.protocol)
	config.EnableCompression = o.compression
	_, err := fmt.Sscanf(o.delegate, "%d,%d,%d",
		&config.DelegateProtocolMin, &config.DelegateProtocolMax, &config.DelegateProtocolVersion)
	if err != nil {
		return nil, fmt.Errorf("-delegate %s: want three numbers", o.delegate)
	}
	if config.SecretKey, err = hex.DecodeString(o.key); err != nil {
		return nil, fmt.Errorf("-key: %w", err)
	}
	return config, setLabel(config, o.label)
}

func start(o options, index int, out *printer) (*member, error) {
	config, err := o.config(index)
	if err != nil {
		return nil, err
	}
	meta, err := hex.DecodeString(o.meta)
	if err != nil {
		return nil, fmt.Errorf("-meta: %w", err)
	}
	m := &member{name: config.Name, out: out}
	m.meta.Store(&meta)
	config.Delegate, config.Events, config.Merge = m, m, m
	m.list, err = memberlist.Create(config)
	return m, err
}

func run(o options) error {
	out := &printer{wake: make(chan struct{}, 1)}
	go out.run()
	var members []*member
	for index := 0; index < o.count; index++ {
		m, err := start(o, index, out)
		if err != nil {
			return err
		}
		members = append(members, m)
		m.done("started", 1, nil)
	}
	for _, m := range members[1:] {
		m.execute([]string{"join", members[0].list.LocalNode().Address()})
	}
	if o.join != "" {
		members[0].execute(append([]string{"join"}, strings.Split(o.join, ",")...))
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		words := strings.Fields(commands.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			break
		}
		for _, m := range members {
			m.execute(words)
		}
	}
	return commands.Err()
}

func main() {
	if err := run(parse()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
