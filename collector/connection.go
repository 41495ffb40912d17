package collector

import "strings"

var (
	connectionEncrypted = gauge(Fact, "connection_encrypted",
		"Whether the exporter's own connection to this side is encrypted, as the server sees it.",
		"dag", "side")
	connectionVerified = gauge(Fact, "connection_certificate_verified",
		"Whether the exporter verifies the certificate of every instance of this side: 0 with trustservercertificate=true or without encryption, when anybody in between can pretend to be the server.",
		"dag", "side")
	permissionMissing = gauge(Fact, "permission_missing",
		"A right that the exporter's login lacks on this side; what it would show is unknown. Always 1.",
		"dag", "side", "permission")
	listenerInfo = gauge(Fact, "listener_url_info",
		"LISTENER_URL of a member of the DAG in this side's own copy. Always 1.",
		"dag", "side", "member", "url")
	listenersAgree = gauge(Fact, "listener_urls_agree",
		"Whether both sides' copies of the DAG have the same LISTENER_URL for every member. Where not, changes silently stop after a failover.",
		"dag")
)

var connection = Group{
	Name:    "connection",
	Help:    "How the exporter is connected, what it may not see, and the addresses that the sides know of each other.",
	metrics: []*metric{connectionEncrypted, connectionVerified, permissionMissing, listenerInfo, listenersAgree},
	collect: collectConnection,
}

func collectConnection(s *Snapshot, out *sink, _ *Options) {
	for _, side := range s.sides() {
		r := side.Reading
		if r == nil {
			continue
		}
		if r.Identity.Encrypted.OK {
			out.put(connectionEncrypted, oneIf(r.Identity.Encrypted.V), s.DAG, side.name)
		}
		if side.Verified.OK {
			out.put(connectionVerified, oneIf(side.Verified.V), s.DAG, side.name)
		}
		for _, p := range r.Missing {
			out.put(permissionMissing, 1, s.DAG, side.name, p)
		}
		for _, m := range r.DAG.Members {
			if m.Name != "" && m.EndpointURL != "" {
				out.put(listenerInfo, 1, s.DAG, side.name, m.Name, m.EndpointURL)
			}
		}
	}
	if agree, known := listeners(s); known {
		out.put(listenersAgree, oneIf(agree), s.DAG)
	}
}

// listeners compares the two copies; known only if both show the same
// members, each with its URL.
func listeners(s *Snapshot) (agree, known bool) {
	if s.Source.Reading == nil || s.Target.Reading == nil {
		return false, false
	}
	here, there := s.Source.Reading.DAG, s.Target.Reading.DAG
	if len(here.Members) < 2 || len(here.Members) != len(there.Members) {
		return false, false
	}
	agree = true
	for _, m := range here.Members {
		o := there.Member(m.Name)
		if o == nil || m.Name == "" || m.EndpointURL == "" || o.EndpointURL == "" {
			return false, false
		}
		agree = agree && strings.EqualFold(m.EndpointURL, o.EndpointURL)
	}
	return agree, true
}
