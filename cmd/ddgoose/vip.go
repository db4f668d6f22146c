package main

import (
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"duckduckgoose/agent/client"
	runner "duckduckgoose/cmd/ddgoose/run"
)

func newVIPCommand(env *environment) *cobra.Command {
	work := runner.Work{Name: "vip"}
	cmd := &cobra.Command{
		Use:   "vip ADDR/PREFIX[,...] --dev IF",
		Short: "Hold a virtual address while this agent is the goose",
		Long: `Adds virtual addresses, IPv4 or IPv6, to a network device whenever the agent on this machine is the goose, and
removes them before another agent can be. Start it beside every agent. Each new place of an address is announced to the
neighbours, five times in the first second and then every 10 s: by gratuitous ARP, or by unsolicited neighbour
advertisements. Beside an address of the same network use /32 or /128.

The lease is not renewed (the agent, its socket or this command is dead or stopped, or the majority is out of reach): the
addresses are removed when 40 % of it are left, by this command's guard process, or by this command if the guard is dead
or stopped. In the kernel each has a lifetime of the lease, rounded up to the second and renewed with the lease: when agent,
this command and guard are all dead or stopped, the kernel removes it about a second after the last renewal.
Planned ends (step-down, the agent stops, SIGTERM or SIGINT to this command): the addresses are removed first.

It works beside ddgoose run of the same election. Two ddgoose vip of one election and device hold addresses one at a
time: name all of a device in one.

An address that this machine has, and that ddgoose vip did not add, is refused and never touched. Addresses that an
earlier ddgoose vip left (IPv4: with the label ddgoose) are taken over. Linux only; it needs CAP_NET_ADMIN and CAP_NET_RAW.

Exit codes: 0 stopped by a signal, 1 the addresses cannot be added (no such device, no permission), or the agent refuses (only
root and the agent's user may, and the flock must have the election), 2 wrong usage or no agent's socket.`,
		Example: `  ddgoose vip 10.0.0.100/32 --dev eth0
  ddgoose vip 10.0.0.100/32,2001:db8::100/128 --dev eth0 --election database`,
		Args: cobra.ArbitraryArgs, // refused by vip, which knows what would be right
	}
	var socket string
	cmd.Flags().StringVar(&work.Device, "dev", "", "the network device that gets the addresses: `IF`, as eth0")
	socketFlag(cmd, &socket)
	electionFlag(cmd, &work.Election)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if len(args) != 1 || work.Device == "" {
			return usage("vip: name addresses and a device: ddgoose vip ADDR/PREFIX[,...] --dev IF")
		}
		if work.Addresses, err = parseAddresses(args[0]); err != nil {
			return err
		}
		work.Kind = "ddgoose vip --dev " + work.Device
		if work.Socket, err = client.FindSocket(socket); err != nil {
			return cannotTell(err)
		}
		return guarded(cmd.Context(), env, work, []string{args[0], "dev", work.Device})
	}
	return cmd
}

func parseAddresses(list string) (addresses []netip.Prefix, err error) {
	for text := range strings.SplitSeq(list, ",") {
		p, err := netip.ParsePrefix(text)
		if a := p.Addr(); err != nil || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6() {
			return nil, usage("address %q: want ADDR/PREFIX of one machine, as 10.0.0.100/32 or 2001:db8::100/128", text)
		}
		addresses = append(addresses, p)
	}
	return addresses, nil
}
