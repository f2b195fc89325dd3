package manifests

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"expense/internal/config"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// What EKS's own controller reads (https://github.com/kubernetes/cloud-provider-aws/blob/master/docs/service_controller.md).
const (
	certificateAnnotation = "service.beta.kubernetes.io/aws-load-balancer-ssl-cert"
	balancerType          = "service.beta.kubernetes.io/aws-load-balancer-type"
)

// services finds the ports and names of the apps, and what is public.
func (g *gathering) services() {
	for _, e := range g.entries {
		for _, p := range e.c().Ports {
			known := slices.ContainsFunc(e.ports, func(known port) bool { return known.number == int(p.ContainerPort) })
			if !known && (p.Protocol == "" || p.Protocol == corev1.ProtocolTCP) {
				e.ports = append(e.ports, port{p.Name, int(p.ContainerPort)})
			}
		}
	}
	for _, o := range g.objects {
		if service, is := o.value.(*corev1.Service); is {
			g.service(o, service)
		}
	}
	for _, e := range g.entries {
		e.rename(g)
	}
}

func (g *gathering) service(o *object, s *corev1.Service) {
	var behind []*entry
	if len(s.Spec.Selector) > 0 {
		behind = g.selected(o, "spec.selector", &metav1.LabelSelector{MatchLabels: s.Spec.Selector})
	}
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName || s.Spec.Type == corev1.ServiceTypeNodePort:
		g.lack(o, "spec.type", "a Service is for the namespace, or a load balancer")
		return
	case len(behind) == 0:
		g.problems.add(o.at("spec.selector"), "a selector of no app in FILE", "the labels of a Deployment's template or a pod",
			"add its manifest to FILE, or leave the Service out")
		return
	case len(behind) > 1:
		g.lack(o, "spec.selector", "a Service leads to one app, and this to "+behind[0].workload+" and "+behind[1].workload)
		return
	}
	e := behind[0]
	e.services = append(e.services, o)
	for i, p := range s.Spec.Ports {
		number := e.numbered(target(p))
		if number == 0 {
			g.problems.add(o.at(fmt.Sprintf("spec.ports[%d].targetPort", i)), "the port "+p.TargetPort.String()+", which "+e.workload+" has not",
				"a port of its container", "")
			continue
		}
		n := slices.IndexFunc(e.ports, func(known port) bool { return known.number == number })
		if n < 0 {
			e.ports = append(e.ports, port{p.Name, number})
		} else if e.ports[n].name == "" {
			e.ports[n].name = p.Name
		}
		if s.Spec.Type != corev1.ServiceTypeLoadBalancer && int(p.Port) != number {
			g.note(o.at(fmt.Sprintf("spec.ports[%d].port", i)), "%d, the container's: callers use %s:%[1]d", number, o.name)
		}
	}
	if s.Spec.Type == corev1.ServiceTypeLoadBalancer {
		g.public(o, s, e)
	}
}

// target is where a Service's port leads. Without targetPort it is the same number.
func target(p corev1.ServicePort) intstr.IntOrString {
	if p.TargetPort == (intstr.IntOrString{}) {
		return intstr.FromInt32(p.Port)
	}
	return p.TargetPort
}

func (g *gathering) public(o *object, s *corev1.Service, e *entry) {
	public := config.Public{CertificateARN: s.Annotations[certificateAnnotation], From: s.Spec.LoadBalancerSourceRanges}
	want := int32(443)
	if public.CertificateARN == "" {
		public.Plain, want = true, 80
	}
	switch {
	case len(s.Spec.Ports) != 1 || s.Spec.Ports[0].Port != want:
		g.lack(o, "spec.ports", fmt.Sprintf("a load balancer has one port: 443 with a certificate, 80 without; here %d", want))
	case e.app.Public.Wanted():
		g.lack(o, "spec.type", "an app has one load balancer")
	}
	if len(public.From) == 0 {
		public.From = []string{"0.0.0.0/0"}
		g.note(o.at("spec.type"), "public.from is 0.0.0.0/0, as the Service admits everybody: narrow it")
	}
	if s.Annotations[balancerType] == "" {
		g.note(o.at("spec.type"), "a network load balancer; EKS's own controller makes a classic one without the annotation "+balancerType)
	}
	e.app.Public = public
	e.origin["public"] = o.at("spec")
}

// publicTarget is the port behind the load balancer, 0 without one.
func (e *entry) publicTarget() int {
	for _, o := range e.services {
		if s := o.value.(*corev1.Service); s.Spec.Type == corev1.ServiceTypeLoadBalancer && len(s.Spec.Ports) > 0 {
			return e.numbered(target(s.Spec.Ports[0]))
		}
	}
	return 0
}

// rename gives the app the name of its Service, by which others find it.
func (e *entry) rename(g *gathering) {
	inside := slices.DeleteFunc(slices.Clone(e.services), func(o *object) bool {
		return o.value.(*corev1.Service).Spec.Type == corev1.ServiceTypeLoadBalancer && len(e.services) > 1
	})
	if len(inside) == 0 || slices.ContainsFunc(inside, func(o *object) bool { return o.name == e.workload }) {
		return
	}
	e.name = inside[0].name
	g.note(e.o.at("metadata.name"), "%s, as its Service: others find it by that name", e.name)
}

// policies writes who may connect to whom.
func (g *gathering) policies() {
	chosen := map[*object][]*entry{}
	for _, o := range g.objects {
		if p, is := o.value.(*networkingv1.NetworkPolicy); is {
			chosen[o] = g.selected(o, "spec.podSelector", &p.Spec.PodSelector)
			for _, e := range chosen[o] {
				e.closed = e.closed || len(p.Spec.PolicyTypes) == 0 || slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
			}
		}
	}
	for _, o := range g.objects {
		p, is := o.value.(*networkingv1.NetworkPolicy)
		if !is {
			continue
		}
		all := chosen[o]
		for _, e := range all {
			for i, rule := range p.Spec.Ingress {
				g.ingress(o, fmt.Sprintf("spec.ingress[%d]", i), rule, e)
			}
			for i, rule := range p.Spec.Egress {
				g.egress(o, fmt.Sprintf("spec.egress[%d]", i), rule, e)
			}
		}
		if len(all) == 0 && len(g.entries) > 0 {
			g.problems.add(o.at("spec.podSelector"), "a selector of no app in FILE", "the labels of a Deployment's template or a pod",
				"add its manifest to FILE, or leave the policy out")
		}
	}
}

func (g *gathering) ingress(o *object, at string, rule networkingv1.NetworkPolicyIngressRule, e *entry) {
	open := map[int]bool{}
	for _, p := range rule.Ports {
		if p.Port != nil && (p.Protocol == nil || *p.Protocol == corev1.ProtocolTCP) {
			open[e.numbered(*p.Port)] = true
		}
	}
	for _, p := range e.ports {
		if len(rule.Ports) > 0 && !open[p.number] {
			g.lack(o, at+".ports", fmt.Sprintf("inbound opens all ports of an app, and %s has %d too", e.workload, p.number))
			return
		}
	}
	if len(rule.From) == 0 {
		e.app.Inbound = append(e.app.Inbound, "*")
		g.note(o.at(at), "the pods of the namespace, and no others")
	}
	for i, peer := range rule.From {
		names, ok := g.peers(o, fmt.Sprintf("%s.from[%d]", at, i), peer)
		if ok {
			e.app.Inbound = append(e.app.Inbound, names...)
		}
	}
}

// peers are the names of the apps that a peer means, "*" for all. ok is false for others than apps.
func (g *gathering) peers(o *object, at string, peer networkingv1.NetworkPolicyPeer) (names []string, ok bool) {
	if peer.IPBlock != nil {
		return nil, false
	}
	if s := peer.NamespaceSelector; s != nil && !g.ownNamespace(s) {
		g.lack(o, at+".namespaceSelector", "apps connect to each other in one namespace")
		return nil, false
	}
	if peer.PodSelector == nil || len(peer.PodSelector.MatchLabels)+len(peer.PodSelector.MatchExpressions) == 0 {
		return []string{"*"}, true
	}
	for _, e := range g.selected(o, at+".podSelector", peer.PodSelector) {
		names = append(names, e.name)
	}
	if len(names) == 0 {
		g.note(o.at(at+".podSelector"), "left out: it selects no app in FILE")
	}
	return names, true
}

func (g *gathering) ownNamespace(s *metav1.LabelSelector) bool {
	if len(s.MatchExpressions) > 0 || len(s.MatchLabels) != 1 {
		return false
	}
	for _, label := range []string{"kubernetes.io/metadata.name", "name"} {
		if name := s.MatchLabels[label]; name != "" && slices.ContainsFunc(g.objects, func(o *object) bool { return o.namespaceName() == name }) {
			return true
		}
	}
	return false
}

func (g *gathering) egress(o *object, at string, rule networkingv1.NetworkPolicyEgressRule, e *entry) {
	var ports []int
	dns := len(rule.Ports) > 0
	for i, p := range rule.Ports {
		udp := p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP
		switch {
		case p.Port != nil && p.Port.IntValue() == 53:
			continue
		case p.Port == nil || p.Port.Type == intstr.String || udp:
			g.lack(o, fmt.Sprintf("%s.ports[%d]", at, i), "ways out are numbered TCP ports")
			return
		}
		dns = false
		ports = append(ports, p.Port.IntValue())
	}
	if dns {
		return // each pod reaches DNS
	}
	if len(rule.To) == 0 {
		g.lack(o, at, "ways out name their ranges")
	}
	for i, peer := range rule.To {
		to := fmt.Sprintf("%s.to[%d]", at, i)
		if peer.IPBlock != nil {
			g.outbound(o, to, peer.IPBlock, ports, e)
			continue
		}
		names, ok := g.peers(o, to, peer)
		for _, callee := range g.entries {
			// Both have to admit a connection (https://kubernetes.io/docs/concepts/services-networking/network-policies/): a closed app's own
			// policy says who may.
			if !ok || callee == e || callee.closed || !slices.Contains(names, callee.name) && !slices.Contains(names, "*") {
				continue
			}
			for _, p := range callee.ports {
				if len(ports) > 0 && !slices.Contains(ports, p.number) {
					g.lack(o, at+".ports", fmt.Sprintf("a way to an app opens all its ports, and %s has %d too", callee.workload, p.number))
				}
			}
			if len(callee.ports) > 0 {
				callee.app.Inbound = append(callee.app.Inbound, e.name)
			}
		}
	}
}

// internet is every address.
const internet = "0.0.0.0/0"

func (g *gathering) outbound(o *object, at string, block *networkingv1.IPBlock, ports []int, e *entry) {
	if len(ports) == 0 {
		g.lack(o, at, "a way out names its ports")
		return
	}
	if block.CIDR == internet {
		private := func(text string) bool {
			prefix, err := netip.ParsePrefix(text)
			a := prefix.Addr()
			return err == nil && (a.IsPrivate() || a.IsLinkLocalUnicast() || netip.MustParsePrefix("100.64.0.0/10").Contains(a))
		}
		if !slices.ContainsFunc(block.Except, func(text string) bool { return !private(text) }) {
			e.app.Outbound = append(e.app.Outbound, config.Outbound{Internet: true, Ports: ports})
			if len(block.Except) < 3 {
				g.note(o.at(at), "internet: true, the public addresses; name private ranges with cidr")
			}
			return
		}
	}
	if len(block.Except) > 0 {
		g.lack(o, at+".ipBlock.except", "a range has no exceptions")
		return
	}
	e.app.Outbound = append(e.app.Outbound, config.Outbound{CIDR: block.CIDR, Ports: ports})
}

// autoscalers write the bounds.
func (g *gathering) autoscalers() {
	for _, o := range g.objects {
		kind, name, r := "", "", config.Replicas{Min: 1}
		switch a := o.value.(type) {
		case *autoscalingv1.HorizontalPodAutoscaler:
			kind, name, r.Max = a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name, int(a.Spec.MaxReplicas)
			r.Min, r.CPU = number(a.Spec.MinReplicas, 1), number(a.Spec.TargetCPUUtilizationPercentage, 80)
		case *autoscalingv2.HorizontalPodAutoscaler:
			kind, name, r.Max = a.Spec.ScaleTargetRef.Kind, a.Spec.ScaleTargetRef.Name, int(a.Spec.MaxReplicas)
			r.Min, r.CPU = number(a.Spec.MinReplicas, 1), 80
			for _, m := range a.Spec.Metrics {
				if m.Resource != nil {
					r.CPU = number(m.Resource.Target.AverageUtilization, r.CPU)
				}
				if m.ContainerResource != nil {
					r.CPU = number(m.ContainerResource.Target.AverageUtilization, r.CPU)
				}
			}
		default:
			continue
		}
		i := slices.IndexFunc(g.entries, func(e *entry) bool { return kind == "Deployment" && e.o.kind == kind && e.workload == name })
		if i < 0 {
			g.problems.add(o.at("spec.scaleTargetRef"), kind+" "+name+", which is not in FILE", "a Deployment of FILE", "add its manifest to FILE")
			continue
		}
		g.entries[i].app.Replicas = r
		g.entries[i].origin["replicas"] = o.at("spec")
	}
}

// number is a number, or Kubernetes' default.
func number(n *int32, otherwise int) int {
	if n == nil {
		return otherwise
	}
	return int(*n)
}

// hosts finds in the variables and arguments who calls whom: without a policy everybody could, and here nobody can who is not named. It
// also gives the callers the ports and the names that the Services have here.
func (g *gathering) hosts() {
	for _, e := range g.entries {
		for _, name := range slices.Sorted(maps.Keys(e.app.Env)) {
			e.app.Env[name] = g.calls(e, e.o.at(e.inContainer("env")), name, e.app.Env[name])
		}
		call := func(word string) string { return g.calls(e, e.o.at(e.inContainer("args")), "", word) }
		e.app.Command, e.app.Args = each(e.app.Command, call), each(e.app.Args, call)
	}
	for _, e := range g.entries {
		if !e.closed && len(e.app.Inbound) == 0 && len(e.ports) > 0 {
			g.note(e.o.at("metadata.name"), "nobody may connect: name who may as inbound")
		}
	}
	if len(g.entries) > 0 && !slices.ContainsFunc(g.entries, func(e *entry) bool { return len(e.app.Outbound) > 0 }) {
		g.note(g.entries[0].o.file, "no app reaches addresses outside of the namespace: name what it needs as outbound")
	}
}

// hostVariable is a variable whose value is a host.
var hostVariable = regexp.MustCompile(`(?i)(HOST|HOSTNAME|ADDR|ADDRESS|SERVER|SERVICE|ENDPOINT|URL)$`)

func (g *gathering) calls(e *entry, at, variable, text string) string {
	for _, callee := range g.entries {
		for _, o := range callee.services {
			s := o.value.(*corev1.Service)
			pattern := regexp.MustCompile(`(^|[^A-Za-z0-9._-])` + regexp.QuoteMeta(o.name) +
				`(\.` + regexp.QuoteMeta(cmp.Or(o.namespace, g.stack.Workloads.Namespace)) +
				`(?:\.svc(?:\.cluster\.local)?)?)?(:[0-9]+)?($|[^A-Za-z0-9._:-])`)
			m := pattern.FindStringSubmatchIndex(text)
			if m == nil || callee == e {
				continue
			}
			group := func(n int) string {
				if m[2*n] < 0 {
					return ""
				}
				return text[m[2*n]:m[2*n+1]]
			}
			before := text[:m[3]]
			url := strings.HasSuffix(before, "//") || strings.HasSuffix(before, "@")
			whole := m[0] == 0 && m[1] == len(text) && hostVariable.MatchString(variable)
			if !url && !whole && group(2) == "" && group(3) == "" {
				continue
			}
			changed := text[:m[3]] + callee.name + portHere(callee, s, group(3), strings.HasSuffix(before, "http://")) + text[m[8]:]
			if changed != text {
				g.note(at, "%s calls %s as %s", orDefault(variable, "a word"), callee.name, callee.name+
					portHere(callee, s, group(3), strings.HasSuffix(before, "http://")))
				text = changed
			}
			if !callee.closed && len(callee.ports) > 0 && !slices.Contains(callee.app.Inbound, e.name) {
				callee.app.Inbound = append(callee.app.Inbound, e.name)
				g.note(callee.o.at("metadata.name"), "inbound has %s, whose %s names it: a namespace is closed", e.name, orDefault(variable, "command"))
			}
		}
	}
	return text
}

// portHere is the port that a caller uses here for one of the Service's.
func portHere(callee *entry, s *corev1.Service, written string, http bool) string {
	for _, p := range s.Spec.Ports {
		number := callee.numbered(target(p))
		if number != 0 && (written == fmt.Sprintf(":%d", p.Port) || written == "" && http && p.Port == 80 && number != 80) {
			return fmt.Sprintf(":%d", number)
		}
	}
	return written
}
