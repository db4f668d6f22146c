package lab

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// filter drops what the router should not forward. Each set of faults
// replaces the one before in one transaction of nftables: all links change at
// one moment.
type filter struct {
	conn  *nftables.Conn
	table *nftables.Table
	chain *nftables.Chain
}

// link is what goes from one address to another. The zero address is any.
type link struct{ from, to netip.Addr }

func newFilter(router *namespace) (*filter, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(int(router.fd)), nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	f := &filter{conn: conn}
	f.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "lab"})
	f.chain = conn.AddChain(&nftables.Chain{
		Table: f.table, Name: "forward", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
	})
	// Random drops are tried as well: a kernel may lack them alone.
	if err := f.set(nil, 50); err != nil {
		f.close()
		return nil, err
	}
	return f, f.set(nil, 0)
}

// set cuts links, and loses a percentage of what is left.
func (f *filter) set(cut []link, lossPercent uint32) error {
	f.conn.FlushChain(f.chain)
	for _, l := range cut {
		f.rule(append(matchAddr(12, l.from), matchAddr(16, l.to)...))
	}
	if lossPercent > 0 {
		f.rule([]expr.Any{
			&expr.Numgen{Register: 1, Type: unix.NFT_NG_RANDOM, Modulus: 100},
			// Registers are compared as bytes, so the smaller number must be the smaller string.
			&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
			&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(lossPercent)},
		})
	}
	f.conn.AddRule(&nftables.Rule{Table: f.table, Chain: f.chain, Exprs: []expr.Any{&expr.Counter{}}}) // what passes
	if err := f.conn.Flush(); err != nil {
		return fmt.Errorf("set the router's rules: %w", err)
	}
	return nil
}

func (f *filter) rule(match []expr.Any) {
	f.conn.AddRule(&nftables.Rule{
		Table: f.table, Chain: f.chain,
		Exprs: append(match, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}),
	})
}

// mute has the router say nothing itself: no ICMP tells what it drops.
func (f *filter) mute() error {
	drop := nftables.ChainPolicyDrop
	f.conn.AddChain(&nftables.Chain{
		Table: f.table, Name: "output", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	return f.conn.Flush()
}

// matchAddr compares the address at an offset of the IPv4 header.
func matchAddr(offset uint32, addr netip.Addr) []expr.Any {
	if !addr.IsValid() {
		return nil
	}
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr.AsSlice()},
	}
}

// counts tells how many packets were dropped and how many passed since set.
func (f *filter) counts() (dropped, passed uint64, err error) {
	rules, err := f.conn.GetRules(f.table, f.chain)
	if err != nil {
		return 0, 0, fmt.Errorf("read the router's counters: %w", err)
	}
	for _, r := range rules {
		drops := false
		var packets uint64
		for _, e := range r.Exprs {
			switch e := e.(type) {
			case *expr.Counter:
				packets += e.Packets
			case *expr.Verdict:
				drops = drops || e.Kind == expr.VerdictDrop
			}
		}
		if drops {
			dropped += packets
		} else {
			passed += packets
		}
	}
	return dropped, passed, nil
}

func (f *filter) close() { _ = f.conn.CloseLasting() } // the namespace goes with its rules
