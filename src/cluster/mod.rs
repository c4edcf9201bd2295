//! kubeconfig and flags → the cluster: Services, rights and the connection to the API server.
