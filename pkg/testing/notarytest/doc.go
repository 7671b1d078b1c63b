// Package notarytest makes the metadata of Docker Content Trust, for tests and
// benchmarks: keys, signatures, delegations and rotations as Notary's clients
// make them, and everything that they would not.
//
//	repo := notarytest.New(t, "example.com/team/app")
//	repo.Sign("targets", "v1", digest)
//	server.ServeTrustData(repo.Name, repo.Publish(t))
//
// Keys and metadata are made when the test runs, so that nothing expires.
package notarytest
