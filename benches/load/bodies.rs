//! What is posted: reviews as an API server sends them, with their heads, ready to go.

use std::rc::Rc;

use crate::reviews;

/// A kind of load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// One container, asks for a variable and a file.
    Small,
    /// Six containers with many variables, asks for the same.
    Large,
    /// One container that asks for nothing, in a namespace where everybody is looked at.
    Bystander,
    /// Five small ones to three large ones: 26 KB on average.
    Mix,
}

impl Load {
    pub const ALL: [Self; 4] = [Self::Small, Self::Large, Self::Bystander, Self::Mix];

    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small, asks",
            Self::Large => "large, asks",
            Self::Bystander => "small, does not ask",
            Self::Mix => "mix",
        }
    }
}

/// A request, head and body.
pub struct Post {
    pub bytes: Vec<u8>,
    /// Whether its answer carries a patch.
    pub is_patched: bool,
}

/// All requests.
pub struct Bodies {
    small: Rc<Post>,
    large: Rc<Post>,
    bystander: Rc<Post>,
}

impl Bodies {
    pub fn new() -> Self {
        let asks =
            [("environment", "acme/shop/prod"), ("env.DATABASE_URL", "db.url"), ("file.ca.crt", "tls.ca")];
        let post = |pod: &serde_json::Value, is_patched| {
            let body =
                serde_json::to_vec(&reviews::review("e8f8d2c4-1b53-4c9c-8f6e-5f1f0a5d9b11", pod)).unwrap();
            let head = format!(
                "POST /mutate?timeout=5s HTTP/1.1\r\nHost: {}\r\nUser-Agent: kube-apiserver-admission\r\n\
                 Content-Length: {}\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n",
                crate::tls::SERVER_NAME,
                body.len(),
            );
            Rc::new(Post { bytes: [head.into_bytes(), body].concat(), is_patched })
        };
        Self {
            small: post(&reviews::asking(reviews::small_pod(), &asks), true),
            large: post(&reviews::asking(reviews::large_pod(), &asks), true),
            bystander: post(&reviews::small_pod(), false),
        }
    }

    /// The requests of a load; they go round.
    pub fn requests(&self, load: Load) -> Vec<Rc<Post>> {
        let (small, large) = (&self.small, &self.large);
        let round: &[&Rc<Post>] = match load {
            Load::Small => &[small],
            Load::Large => &[large],
            Load::Bystander => &[&self.bystander],
            Load::Mix => &[small, large, small, small, large, small, large, small],
        };
        round.iter().map(|post| Rc::clone(post)).collect()
    }

    pub fn mean_bytes(&self, load: Load) -> usize {
        let requests = self.requests(load);
        requests.iter().map(|post| post.bytes.len()).sum::<usize>() / requests.len()
    }
}
