// Package registrytest is a container registry within the process, on
// loopback, for tests and benchmarks: it serves what is pushed and signed
// through its methods, counts what it is asked, and misbehaves as told.
//
//	reg := registrytest.New(t)
//	img := reg.Push(t, "team/app:v1")
//	reg.Sign(t, img, registrytest.Key(t))
//	… // verify img.String()
//	reg.Requests() // what that cost
//
// Programs that are no tests pass registrytest.Panics where a test passes its
// t, and call Close.
//
// A registry without the option TLS speaks plain HTTP, and every one is at a
// loopback address: clients must be told that its Host is insecure.
package registrytest
