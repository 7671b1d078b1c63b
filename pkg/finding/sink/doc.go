// Package sink delivers findings by the protocols of brokers.
package sink
