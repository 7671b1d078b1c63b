package registry

// AccessConfig is how a validator reaches registries, as the configuration has
// it.
type AccessConfig struct {
	Auth AuthConfig `config:"auth"`
	// Cert refers to PEM certificates of authorities that are trusted besides
	// the system's.
	Cert string `config:"cert"`
}

// AuthConfig is where the credentials for registries come from. Without any,
// registries are asked anonymously.
type AuthConfig struct {
	// SecretName is a Secret of our own namespace.
	SecretName string `config:"secretName"`
	// UseKeychain takes the credentials of the cloud that the webhook runs in.
	UseKeychain bool `config:"useKeychain"`
	// UseImagePullSecrets takes the workload's own pull secrets and those of
	// its service account.
	UseImagePullSecrets bool `config:"useImagePullSecrets"`
}
