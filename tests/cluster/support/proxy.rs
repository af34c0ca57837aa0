//! A wire between a replica and the API server that can be cut.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::cluster::cluster;

pub struct Proxy {
    pub address: SocketAddr,
    wires: Arc<Mutex<Vec<JoinHandle<()>>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub fn start() -> Self {
        let listener = cluster().block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let wires = Arc::new(Mutex::new(Vec::new()));
        let task = cluster().spawn({
            let wires = Arc::clone(&wires);
            async move {
                while let Ok((mut inner, _)) = listener.accept().await {
                    let wire = tokio::spawn(async move {
                        if let Ok(mut outer) = TcpStream::connect("10.88.0.1:6443").await {
                            let _ = copy_bidirectional(&mut inner, &mut outer).await;
                        }
                    });
                    wires.lock().unwrap().push(wire);
                }
            }
        });
        Self { address, wires, task }
    }

    /// Ends every connection that there is; new ones are let through. Gives how many there were.
    pub fn cut(&self) -> usize {
        let wires = std::mem::take(&mut *self.wires.lock().unwrap());
        wires.into_iter().filter(|wire| !wire.is_finished()).map(|wire| wire.abort()).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}
