package EventSession::Snippet;

# An nginx whose configuration is what documentation shows, in the block that
# it belongs to, with what it takes for granted around it.
#
#     my $nginx = EventSession::Snippet->new($dir, redis => $redis,
#         text  => $block->{text},
#         files => { 'schemas/pageview.json' => $json });
#
#     $nginx->start;                       # the rest is EventSession::Nginx'
#     $nginx->ports;                       # of the servers in the text
#
# A text with `http {` is a whole file, one with `server {` stands in http, one
# with `location` in a server, as what includes those of a snippet does; one
# with `worker_processes` stands on top, and anything else in http.  Ports, the
# Redis, certificates and the folders /etc/nginx and /var/log/nginx are the
# test's own.  A server that the text does not bring has all endpoints of
# conf/eventsession.conf that the text has not, and trusts the application of
# the examples.

use strict;
use warnings;

use parent 'EventSession::Nginx';

use File::Path ();

use EventSession::Nginx;
use EventSession::Redis;

my $application = '0e302fce-66ad-4721-911e-0ab9d33697bf';

my $endpoints = EventSession::Redis::slurp('conf/eventsession.conf');


sub new {
    my ($class, $dir, %options) = @_;

    my $self = EventSession::Nginx::new($class, $dir, http => '', main => '',
        server => '', locations => '', ports => [], %options);

    $self->files;
    $self->place($self->adapted($self->{text}));

    return $self;
}


sub ports { @{ $_[0]{ports} } }


# Those that it names and nobody gave are empty schemas.

sub files {
    my ($self) = @_;

    my %files = (
        'snippets/eventsession.conf' => $endpoints,
        (map { $_ => '{}' } $self->{text} =~ m{\s([\w/]+\.json)\b}g),
        %{ $self->{files} // {} },
    );

    $self->write($_, $files{$_}) for keys(%files);
}


sub write {
    my ($self, $name, $text) = @_;

    my $path = "$self->{dir}/$name";

    File::Path::make_path($path =~ s{/[^/]*$}{}r);

    open(my $file, '>', $path) or die("$path: $!");
    print {$file} $text;
    close($file);
}


sub adapted {
    my ($self, $text) = @_;

    my $redis = $self->{redis} ? $self->{redis}->url : 'unix:/none';

    # what it needs nothing of: the host is here, and nobody listens
    my $away = 'localhost:' . EventSession::Redis::free_port();

    $text =~ s{^load_module\s.*\n}{}mg;
    $text =~ s{redis://127\.0\.0\.1:6379/0}{$redis}g;
    $text =~ s{localhost:6379}{$away}g;
    $text =~ s{/var/log/nginx/}{$self->{dir}/}g;
    $text =~ s{/etc/ssl/(?:certs|private)/\S+\.(?:pem|(key));}
              {"$self->{dir}/tls." . ($1 // 'crt') . ';'}ge;
    $text =~ s{(listen\s+)(?:127\.0\.0\.1:)?(?:8080|443)}
              {$1 . '127.0.0.1:' . $self->port_of_its_own}ge;

    return $text;
}


sub port_of_its_own {
    my ($self) = @_;

    push(@{ $self->{ports} }, EventSession::Redis::free_port());

    return $self->{ports}[-1];
}


sub place {
    my ($self, $text) = @_;

    if ($text =~ /^(.*?)^http \{\n(.*)^\}/ms) {
        ($self->{main}, $self->{http}) = ($1, $2);

    } elsif ($text =~ /^\s*location /m && $text !~ /^server \{/m) {
        $self->{locations} = $text;

    } elsif ($text =~ /^include +snippets/m) {
        $self->{server} = $text;

    } elsif ($text =~ /^worker_processes/m) {
        $self->on_top($text);

    } else {
        $self->{http} = $text;
    }

    $self->{http} .= $self->certificate($text) if $text =~ /\bssl\b/;

    # the server around it
    $self->{http} .= "eventsession_application $application shop;"
        if $self->{http} !~ /eventsession_application /;

    $self->{server}    .= "access_log $self->{dir}/access.log;";
    $self->{locations} .= missing($text);
    delete $self->{redis} if $self->{http} =~ /^eventsession_redis /m;
}


# What an EventSession::Nginx says there itself, it says with these values.

sub on_top {
    my ($self, $text) = @_;

    $self->{workers} = 2
        if $text =~ s/^worker_processes +auto;$//m;

    $self->{connections} = $1
        if $text =~ s/^events \{\s+worker_connections +(\d+);\s+\}$//m;

    $self->{main} = $text;
}


sub missing {
    my ($text) = @_;

    my @missing;

    while ($endpoints =~ /^(location ([^{]*?) \{.*?^\})/msg) {
        my ($block, $name) = ($1, $2);

        next if $text =~ /^include +snippets/m;

        push(@missing, $block)
            if $text !~ /^\s*location\s+\Q$name\E\s*\{/m
            || $text =~ /^(?:http|server) \{/m;
    }

    return join("\n", @missing);
}


# Where the text names none, one for all servers.

sub certificate {
    my ($self, $text) = @_;

    my $path = "$self->{dir}/tls";

    system('openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1'
        . " -nodes -days 2 -subj /CN=localhost -keyout $path.key"
        . " -out $path.crt 2> /dev/null") == 0 or die('openssl failed');

    return $text =~ /ssl_certificate / ? ''
        : "ssl_certificate $path.crt; ssl_certificate_key $path.key;\n";
}


1;
