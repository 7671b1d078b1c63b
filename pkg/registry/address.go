package registry

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// forbidden are addresses that no registry has, beside those that netip knows:
// cloud metadata services outside of the link-local range, "this network" and
// broadcast.
var forbidden = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS
	netip.MustParsePrefix("fd20:ce::/32"),       // Google
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle
}

// refusal is an error for what we do not do, whoever asks.
type refusal struct{ why string }

func (r *refusal) Error() string { return r.why }

// allowInsecure is the way out for the operator.
const allowInsecure = "if that is really yours, set insecure: true for it under registries in config-policy"

// checkAddress refuses addresses that an image name must not make us connect
// to. Loopback and this machine's addresses are refused unless local is set.
func checkAddress(ip netip.Addr, local bool) error {
	own, err := net.InterfaceAddrs()
	if err != nil && !local {
		return &refusal{"cannot tell which addresses are this machine's"}
	}
	for _, ip := range embedded(ip) {
		switch {
		case ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), within(forbidden, ip):
			return &refusal{fmt.Sprintf("%s is a link-local, metadata-service or otherwise reserved address, which no registry may have", ip)}
		case !local && (ip.IsLoopback() || isOwn(own, ip)):
			return &refusal{fmt.Sprintf("%s is an address of this machine; %s", ip, allowInsecure)}
		}
	}
	return nil
}

func within(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func isOwn(own []net.Addr, ip netip.Addr) bool {
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok {
			if o, ok := netip.AddrFromSlice(n.IP); ok && o.Unmap() == ip {
				return true
			}
		}
	}
	return false
}

// embedded is the address and every IPv4 address that a transition mechanism
// would take out of it: mapped and translated (RFC 4291, 6145), compatible,
// 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052, 8215) and ISATAP.
func embedded(ip netip.Addr) []netip.Addr {
	ip = ip.WithZone("").Unmap()
	all := []netip.Addr{ip}
	if ip.Is4() {
		return all
	}
	b := ip.As16()
	v4 := func(a, b, c, d byte) { all = append(all, netip.AddrFrom4([4]byte{a, b, c, d})) }
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(ip) }
	switch {
	case ip.IsLoopback(), ip.IsUnspecified():
	case in("::/96"), in("::ffff:0:0:0/96"), in("64:ff9b::/96"):
		v4(b[12], b[13], b[14], b[15])
	case in("64:ff9b:1::/48"):
		v4(b[12], b[13], b[14], b[15])
		v4(b[6], b[7], b[9], b[10])
	case in("2002::/16"):
		v4(b[2], b[3], b[4], b[5])
	case in("2001::/32"):
		v4(b[4], b[5], b[6], b[7])
		v4(^b[12], ^b[13], ^b[14], ^b[15])
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		v4(b[12], b[13], b[14], b[15])
	}
	return all
}

// checkName refuses hosts that are an address by their very spelling. It is
// for requests through a proxy, where the address is never seen here.
func checkName(hostname string) error {
	hostname = strings.TrimSuffix(strings.ToLower(hostname), ".")
	if ip, err := netip.ParseAddr(hostname); err == nil {
		return checkAddress(ip, false)
	}
	last := hostname[strings.LastIndexByte(hostname, '.')+1:]
	switch {
	case last == "localhost":
		return &refusal{"that is this machine; " + allowInsecure}
	case last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return &refusal{"its name is an unusual spelling of an address"}
	}
	return nil
}
