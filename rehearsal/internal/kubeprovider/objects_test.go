package kubeprovider_test

// The kinds that the program uses, in the smallest form that the namespace's rules allow.

func meta(namespace, name string) values {
	m := values{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	return m
}

func labels() values { return values{"app": "web"} }

func restricted() values {
	return values{"runAsNonRoot": true, "runAsUser": 101, "seccompProfile": values{"type": "RuntimeDefault"}}
}

func container(name string) values {
	return values{
		"name": name, "image": "example.com/" + name + ":1",
		"resources":       values{"requests": values{"cpu": "0.1", "memory": "64Mi"}, "limits": values{"memory": "1024Mi"}},
		"securityContext": values{"allowPrivilegeEscalation": false, "capabilities": values{"drop": []any{"ALL"}}},
		"volumeMounts":    []any{values{"name": "tmp", "mountPath": "/tmp"}},
	}
}

func podSpec() values {
	sidecar := container("fluentd")
	sidecar["restartPolicy"] = "Always"
	return values{
		"securityContext": restricted(), "initContainers": []any{sidecar}, "containers": []any{container("nginx")},
		"volumes": []any{values{"name": "tmp", "emptyDir": values{}}},
	}
}

func pod(namespace, name string) values {
	return values{"metadata": meta(namespace, name), "spec": podSpec()}
}

func deployment(namespace, name string) values {
	return values{"metadata": meta(namespace, name), "spec": values{
		"replicas": 2,
		"selector": values{"matchLabels": labels()},
		"template": values{"metadata": values{"labels": labels()}, "spec": podSpec()},
	}}
}
