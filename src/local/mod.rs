//! The local side: listener, guard, sites. Knows no Kubernetes.
