//! What the tests share: real peers, network namespaces and a running director.
