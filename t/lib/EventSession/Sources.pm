package EventSession::Sources;

# What the module's C files say that documentation repeats: the command table,
# the defaults, the texts.
#
#     my $sources = EventSession::Sources->new;
#
#     $sources->commands;            # { name, contexts, field } in their order
#     $sources->default('ws.ping');  # 30000; undef if none is merged
#     $sources->names_of('EVS_SID_UUID');       # uuid, of an ngx_conf_enum_t
#     $sources->has_text('redis … is back; n commands waiting');
#     $sources->logged('WARN');      # formats, without "eventsession: "
#     $sources->refusals;            # those of nginx -t
#
# In has_text() `…` and a word of capitals or one letter n stand for what is
# filled in; each part between them must be in one literal.

use strict;
use warnings;

use File::Find ();

use EventSession::Redis;

my $folder = 'ngx_http_eventsession_module';

my %contexts = (MAIN => 'http', SRV => 'server', LOC => 'location',
    SIF => 'if in server', LIF => 'if in location', LMT => 'limit_except',
    UPS => 'upstream');


sub new {
    my ($class) = @_;

    my @files;

    File::Find::find({ no_chdir => 1, wanted => sub {
        push(@files, $_) if /\.[ch]$/;
    } }, $folder);

    my $code = join("\n", map { EventSession::Redis::slurp($_) } sort(@files));

    my $self = bless { code => $code }, $class;

    $self->{literals} = join("\n", literals($code));

    return $self;
}


# Of strings, those beside each other joined, as the compiler sees them.

sub literals {
    my ($code) = @_;

    $code =~ s{/\*.*?\*/}{}gs;

    my $string = qr/"(?:[^"\\\n]|\\.)*"/;
    my @texts;

    while ($code =~ /((?:\bngx_\w+_n\s+)?$string
        (?:\s*(?:ngx_\w+_n\s*)?$string)*)/xg)
    {
        my ($joined, $text) = ($1, '');

        while ($joined =~ /\G\s*(?:ngx_(\w+?)(?:_file)?_n\s*)?
            "((?:[^"\\\n]|\\.)*)"/xg)
        {
            $text .= (defined $1 ? "$1()" : '') . $2;
        }

        $text =~ s/\\(["\\])/$1/g;
        $text =~ s/%%/%/g;

        push(@texts, $text);
    }

    return @texts;
}


sub commands {
    my ($self) = @_;

    my ($table) = $self->{code} =~ /ngx_command_t +\w+\[\] = \{\n(.*?)^\};/ms;

    my @commands;

    for my $command (split(/\n\n/, $table)) {
        my ($name)  = $command =~ /ngx_string\("(\w+)"\)/ or next;
        my ($field) = $command =~ /offsetof\(\w+,\s+([\w.]+)\)/;

        push(@commands, { name => $name, field => $field // '',
            contexts => [ map { $contexts{$_} // $_ }
                $command =~ /NGX_HTTP_([A-Z]+)_CONF\b/g ] });
    }

    return @commands;
}


sub default {
    my ($self, $field) = @_;

    my ($value) = $self->{code} =~ /ngx_conf_merge_\w*value\(
        \s*conf->\Q$field\E,\s*prev->\Q$field\E,\s*([^;]*?)\);/x;

    return $value;
}


sub names_of {
    my ($self, $value) = @_;

    return $self->{code} =~ /\{ ngx_string\("(\w+)"\), \Q$value\E \}/;
}


sub has_text {
    my ($self, $text) = @_;

    for my $part (split(/…|\b[A-Z]{2,}\b|\bn\b|: | \.\.\./, $text)) {
        $part =~ s/^\W+(?=\w)|^\s+|\s+$//g;

        return 0 if $part =~ /\w/ && !$self->has_part($part);
    }

    return 1;
}


# Or one literal in another, "a%s" and " b".

sub has_part {
    my ($self, $part) = @_;

    return 1 if index($self->{literals}, $part) >= 0;

    while ($part =~ / /g) {
        my ($a, $b) = (substr($part, 0, $-[0]), substr($part, $-[0]));

        return 1 if $self->{literals} =~ /\Q$a\E%s/
            && $self->{literals} =~ /^\Q$b\E/m;
    }

    return 0;
}


# What is logged at a level, in the words of the source: formats and all.

sub logged {
    my ($self, $level) = @_;

    return $self->texts_of(qr/ngx_log_error\(NGX_LOG_$level,/);
}


# The same of what nginx -t refuses.

sub refusals {
    my ($self) = @_;

    return $self->texts_of(qr/ngx_conf_log_error\(NGX_LOG_EMERG,/);
}


sub texts_of {
    my ($self, $call) = @_;

    my @texts;

    while ($self->{code} =~ /$call(.*?)\);\n/gs) {
        my ($text) = literals($1);

        push(@texts, $text =~ s/^eventsession: //r) if defined $text;
    }

    return @texts;
}


1;
