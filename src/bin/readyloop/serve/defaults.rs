//! The defaults of the settings, which are those of the library.

use readyloop::datagram::DatagramLimits;
use readyloop::net::{Address, ListenOptions};
use readyloop::{Limits, ServerLimits, WhenFull};

use super::settings::{
    Datagrams, Design, Endpoints, PeerLimits, Service, Sockets, Threads, Tls, TotalLimits, WhenFullAction,
};

impl Default for Endpoints {
    fn default() -> Self {
        // Loopback: serving other machines needs an explicit address.
        let listen = vec![Address::Tcp("127.0.0.1:7007".to_owned())];
        Self { listen, service: Service::Echo, framing: None, prefix: None }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self { design: Design::Reactor, workers: None }
    }
}

impl Default for PeerLimits {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            idle_timeout: limits.idle_timeout,
            frame_timeout: limits.frame_timeout,
            write_timeout: limits.write_timeout,
            linger_timeout: limits.linger_timeout,
            frame_len_max: limits.frame_len_max,
            queue_high: limits.queue.high(),
            queue_low: limits.queue.low(),
        }
    }
}

impl Default for TotalLimits {
    fn default() -> Self {
        let limits = ServerLimits::default();
        let when_full = match limits.when_full {
            WhenFull::Pause => WhenFullAction::Pause,
            WhenFull::Refuse => WhenFullAction::Refuse,
        };
        Self {
            max_connections: None,
            max_connections_per_ip: None,
            when_full,
            queue_total_max: limits.queue_total_max,
            drain_timeout: limits.drain_timeout,
        }
    }
}

impl Default for Datagrams {
    fn default() -> Self {
        let limits = DatagramLimits::default();
        Self { udp_source_rate: limits.source_rate, udp_total_rate: limits.total_rate, multicast: Vec::new() }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert: None,
            key: None,
            client_ca: None,
            self_signed: false,
            alpn: Vec::new(),
            handshake_timeout: Limits::default().handshake_timeout,
            max_handshakes: ServerLimits::default().handshakes_max,
        }
    }
}

impl Default for Sockets {
    fn default() -> Self {
        let options = ListenOptions::default();
        Self {
            backlog: options.backlog,
            no_nodelay: !options.nodelay,
            keepalive: options.keepalive,
            reuse_port: options.reuse_port,
            recv_buffer: options.recv_buffer,
            send_buffer: options.send_buffer,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command, FromArgMatches};

    use super::super::settings::Settings;

    fn command() -> Command {
        Settings::augment_args_for_update(Command::new("serve"))
    }

    #[test]
    fn every_default_in_the_help_is_correct() {
        for arg in command().get_arguments() {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let Some((_, rest)) = help.split_once("[default: ") else { continue };
            let (default, _) = rest.split_once(']').unwrap();
            if default.contains(' ') {
                continue; // A description, not a value.
            }
            let name = arg.get_long().unwrap();
            let matches = command().try_get_matches_from(["serve", &format!("--{name}={default}")]).unwrap();
            let mut settings = Settings::default();
            settings.update_from_arg_matches(&matches).unwrap();
            if name == "framing" {
                settings.endpoints.framing = None;
            }
            assert_eq!(settings, Settings::default(), "--{name}");
        }
    }

    #[test]
    fn every_flag_is_explained_under_a_heading() {
        for arg in command().get_arguments() {
            assert!(arg.get_help().is_some(), "{arg}");
            assert!(arg.get_help_heading().is_some(), "{arg}");
        }
    }
}
