//! RDATA: text ↔ wire for every type, what is refused and where, and that no octets make it panic.
//!
//! The vectors are those of the RFCs where there are any; the wire forms of the others were made by `ldns`, or by hand
//! from the RFC where it does not know the type.

use fated::wire::rdata::{self, TextError, Token, WireError};
use fated::wire::{Name, NameError, Type};
use proptest::prelude::*;

/// Text as it is written, and its wire form in hex.
const VECTORS: &str = r##"
A 192.0.2.1 => c0000201
NS ns.example.com. => 026e73076578616d706c6503636f6d00
MD a. => 016100
MF a. => 016100
CNAME a. => 016100
SOA ns.example. host.example. 2024010101 7200 3600 1209600 3600 => 026e73076578616d706c650004686f7374076578616d706c650078a3f17500001c2000000e100012750000000e10
MB a. => 016100
MG a. => 016100
MR a. => 016100
PTR a. => 016100
HINFO "PC" "Linux" => 025043054c696e7578
MINFO a. b. => 016100016200
MX 10 mail.example. => 000a046d61696c076578616d706c6500
TXT "a" "b c" "q\"x\\y" "\000\255" => 016103622063057122785c790200ff
RP a.example. . => 0161076578616d706c650000
AFSDB 1 a. => 0001016100
X25 "311061700956" => 0c333131303631373030393536
ISDN "150862028003217" "004" => 0f31353038363230323830303332313703303034
ISDN "150862028003217" => 0f313530383632303238303033323137
RT 2 relay.prime.com. => 00020572656c6179057072696d6503636f6d00
NSAP 0x47000580005a0000000001e133ffffff00016100 => 47000580005a0000000001e133ffffff00016100
NSAP-PTR a. => 016100
SIG A 8 2 3600 20200101000000 20190101000000 12345 example. AQID => 0001080200000e105e0be1005c2aad803039076578616d706c6500010203
KEY 256 3 8 AQID => 01000308010203
PX 10 a.b. c.d. => 000a01610162000163016400
GPOS "-32.6882" "116.8652" "10.0" => 082d33322e36383832083131362e383635320431302e30
AAAA 2001:db8::1 => 20010db8000000000000000000000001
LOC 42 21 54.000 N 71 6 18.000 W -24.00m 30m 10000m 10m => 0033161389172dd070be15f000988d20
NXT b.example. A MX SIG NXT => 0162076578616d706c650040010082
SRV 0 5 5060 sip.example. => 0000000513c403736970076578616d706c6500
NAPTR 100 50 "s" "http+N2L+N2C+N2R" "!^.*$!x!" www.example.com. => 00640032017310687474702b4e324c2b4e32432b4e325208215e2e2a2421782103777777076578616d706c6503636f6d00
KX 10 a. => 000a016100
CERT PKIX 1 RSASHA256 AQID => 0001000108010203
DNAME a.example. => 0161076578616d706c6500
APL 1:192.168.32.0/21 !1:192.168.38.0/28 => 00011503c0a82000011c83c0a826
APL 2:2001:db8::/32 1:0.0.0.0/0 => 0002200420010db800010000
DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118 => ec4505012bb183af5f22588179a53b0a98631fad1a292118
SSHFP 2 1 123456789ABCDEF67890123456789ABCDEF67890 => 0201123456789abcdef67890123456789abcdef67890
IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ== => 0a0102c0000226010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801
IPSECKEY 10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ== => 0a0002010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801
IPSECKEY 10 3 2 mygateway.example.com. AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ== => 0a0302096d7967617465776179076578616d706c6503636f6d00010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801
IPSECKEY 10 2 2 2001:db8:0:8002::2000:1 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ== => 0a020220010db8000080020000000020000001010351537986ed35533b6064478eeeb27b5bd74dae149b6e81ba3a0521af82ab7801
RRSIG A 5 3 86400 20030322173103 20030220173103 2642 example.com. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip => 00010503000151803e7c9dd73e5510d70a52076578616d706c6503636f6d00a090755ba58d1affa576f4375831b4310920e481218d18a9
NSEC host.example.com. A MX RRSIG NSEC TYPE1234 => 04686f7374076578616d706c6503636f6d000006400100000003041b000000000000000000000000000000000000000000000000000020
DNSKEY 256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmv => 010003050103d22a6ca77f35b893206fd35e4c506d8378843709b97e041647e1bff43d8d64c649af
DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA= => 000201636fc0b8271c82825bb1ac5c41cf5351aa69b4febd94e8f17cdb95000da48c40
NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR NS SOA MX RRSIG DNSKEY NSEC3PARAM => 0101000c04aabbccdd14174eb2409fe28bcb4887a1836f957f0a8425e27b000722010000000290
NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR => 010000000014174eb2409fe28bcb4887a1836f957f0a8425e27b
NSEC3PARAM 1 0 12 AABBCCDD => 0100000c04aabbccdd
NSEC3PARAM 1 0 0 - => 0100000000
TLSA 3 1 1 D2ABDE240D7CD3EE6B4B28C54DF034B97983A1D16E8A410E4561CB106618E971 => 030101d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
SMIMEA 3 1 1 D2ABDE240D7CD3EE6B4B28C54DF034B97983A1D16E8A410E4561CB106618E971 => 030101d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p rvs1.example.com. rvs2.example.com. => 1002001e200100107b1a74df365639cc39f1d57803010001b771ca136e4aeb5ce44333c53b3d2c13c22243851fc708bcce290472767331076578616d706c6503636f6d000472767332076578616d706c6503636f6d00
TALINK a. b. => 016100016200
CDS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118 => ec4505012bb183af5f22588179a53b0a98631fad1a292118
CDS 0 0 0 00 => 0000000000
CDNSKEY 0 3 0 AA== => 0000030000
OPENPGPKEY AQID => 010203
CSYNC 66 3 A NS AAAA => 000000420003000460000008
ZONEMD 2018031500 1 1 FEBE3D4CE2EC2FFA4BA99D46CD69D6D29711E55217057BEE7EB1A7B641A47BA7FED2DD5B97AE499FAFA4F22C6BD647DE => 7848b78c0101febe3d4ce2ec2ffa4ba99d46cd69d6d29711e55217057bee7eb1a7b641a47ba7fed2dd5b97ae499fafa4f22c6bd647de
SPF "v=spf1 -all" => 0b763d73706631202d616c6c
NID 10 0014:4fff:ff20:ee64 => 000a00144fffff20ee64
L32 10 10.1.2.0 => 000a0a010200
L64 10 2001:0db8:1140:1000 => 000a20010db811401000
LP 10 l64-subnet1.example.com. => 000a0b6c36342d7375626e657431076578616d706c6503636f6d00
EUI48 00-00-5e-00-53-2a => 00005e00532a
EUI64 00-00-5e-ef-10-00-00-2a => 00005eef1000002a
URI 10 1 "ftp://ftp1.example.com/public" => 000a00016674703a2f2f667470312e6578616d706c652e636f6d2f7075626c6963
CAA 0 issue "ca1.example.net; account=230123" => 000569737375656361312e6578616d706c652e6e65743b206163636f756e743d323330313233
DLV 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118 => ec4505012bb183af5f22588179a53b0a98631fad1a292118
HTTPS 0 foo.example.com. => 000003666f6f076578616d706c6503636f6d00
SVCB 1 . => 000100
SVCB 16 foo.example.com. port=53 => 001003666f6f076578616d706c6503636f6d00000300020035
SVCB 1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1 => 000103666f6f076578616d706c6503636f6d000006002020010db800000000000000000000000120010db8000000000000000000530001
SVCB 16 foo.example.org. mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1 => 001003666f6f076578616d706c65036f7267000000000400010004000100090268320568332d313900040004c0000201
EID ABCD => abcd
NIMLOC ABCD => abcd
LOC 90 0 0.000 N 180 0 0.000 W 42849672.95m 90000000m 0.00m 0.50m => 00990051934fd90059604e00ffffffff
LOC 0 0 0.001 S 0 59 59.999 E -100000.00m 0.01m 9m 0.10m => 001092117fffffff8036ee7f00000000
CERT 65280 0 200 AQID => ff000000c8010203
CERT URI 1 PRIVATEDNS AQID => 00fd0001fd010203
KEY 49152 3 8 => c0000308
IPSECKEY 10 0 0 . => 0a0000
RKEY 0 3 8 AQID => 00000308010203
NINFO "x" => 0178
TLSA 3 0 0 00 => 03000000
APL =>
CSYNC 66 3 => 000000420003
DSYNC CDS NOTIFY 5359 cds-scanner.example.net. => 003b0114ef0b6364732d7363616e6e6572076578616d706c65036e657400
DSYNC CSYNC 128 0 a. => 003e800000016100
AVC "app-name:WOLFGANG|app-class:OAM" => 1f6170702d6e616d653a574f4c4647414e477c6170702d636c6173733a4f414d
DOA 0 1 2 "" aHR0cA== => 0000000000000001020068747470
DOA 1234567890 4294967295 1 "image/gif" - => 499602d2ffffffff0109696d6167652f676966
AMTRELAY 10 0 1 203.0.113.15 => 0a01cb00710f
AMTRELAY 10 1 0 . => 0a80
AMTRELAY 10 0 2 2001:db8::15 => 0a0220010db8000000000000000000000015
AMTRELAY 128 1 3 amtrelays.example.com. => 808309616d7472656c617973076578616d706c6503636f6d00
RESINFO "qnamemin" "exterr=15-17" => 08716e616d656d696e0c6578746572723d31352d3137
WALLET "BTC" "bc1" => 0342544303626331
CLA "x" "y" => 01780179
HHIT AQID => 010203
BRID AQID => 010203
TA 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118 => ec4505012bb183af5f22588179a53b0a98631fad1a292118
CAA 128 tbs "" => 8003746273
HTTPS 1 . key667 => 000100029b0000
SVCB 1 foo.example.com. key667="hello" => 000103666f6f076578616d706c6503636f6d00029b000568656c6c6f
SVCB 1 foo.example.com. key667="hello\210qoo" => 000103666f6f076578616d706c6503636f6d00029b000968656c6c6fd2716f6f
SVCB 16 foo.example.org. alpn="f\\\\oo\\,bar,h2" => 001003666f6f076578616d706c65036f7267000001000c08665c6f6f2c626172026832
HTTPS 1 . alpn="h2" no-default-alpn port=8443 ech=AQID => 00010000010003026832000200000003000220fb00050003010203
SVCB 1 . mandatory=port,key667 port=1 key667="a b" => 000100000000040003029b000300020001029b0003612062
SVCB 1 . key7="/dns-query{?dns}" key8 => 000100000700102f646e732d71756572797b3f646e737d00080000
SVCB 1 . key65534="x" => 000100fffe000178
NULL \# 2 0102 => 0102
TYPE65400 \# 3 ABCDEF => abcdef
TYPE65400 \# 0 => 
"##;

/// Text as people write it, and as we do; relative names stand under `origin.example.`.
const FORMS: &str = r##"
A \# 4 c0 00 0201 => A 192.0.2.1
NS ns => NS ns.origin.example.
NS @ => NS origin.example.
MX 010 Mail\.x => MX 10 Mail\.x.origin.example.
SOA a. b. 1 2h 30M 1w2d 1d => SOA a. b. 1 7200 1800 777600 86400
TXT plain foo\032bar \" => TXT "plain" "foo bar" "\""
HINFO PC Linux => HINFO "PC" "Linux"
AAAA ::0001:2 => AAAA ::0.1.0.2
AAAA 1::0:2:0:0:3 => AAAA 1::2:0:0:3
AAAA 2001:DB8:0:0:0:0:0:1 => AAAA 2001:db8::1
LOC 42 N 71 6 W -24 => LOC 42 0 0.000 N 71 6 0.000 W -24.00m 1m 10000m 10m
LOC 52 14 5.5 n 0 8 50 e 10.5m 2.34m => LOC 52 14 5.500 N 0 8 50.000 E 10.50m 2m 10000m 10m
NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00 => NSAP 0x47000580005a0000000001e133ffffff00016100
RRSIG TYPE65400 RSASHA256 2 3600 1577836800 20190101000000 12345 example. AQ ID => RRSIG TYPE65400 8 2 3600 20200101000000 20190101000000 12345 example. AQID
DS 60485 RSASHA1 SHA-1 2bb183af5f2258 8179a53b0a98631fad1a292118 => DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118
KEY HOST|ZONE DNSSEC RSASHA256 AQID => KEY 768 3 8 AQID
DNSKEY ZONE 3 ECDSAP256SHA256 A QI D => DNSKEY 256 3 13 AQID
CERT 1 1 8 AQID => CERT PKIX 1 RSASHA256 AQID
NSEC b. TYPE15 A A TYPE65535 => NSEC b. A MX TYPE65535
NSEC3PARAM 1 0 0 aabb => NSEC3PARAM 1 0 0 AABB
NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr => NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR
APL 1:192.168.0.0/21 2:FF00::/8 => APL 1:192.168.0.0/21 2:ff00::/8
NID 10 14:4FFF:0:ee64 => NID 10 0014:4fff:0000:ee64
URI 10 1 a => URI 10 1 "a"
CAA 0 issue ca.example => CAA 0 issue "ca.example"
DSYNC CDS 1 5359 a. => DSYNC CDS NOTIFY 5359 a.
SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1 => SVCB 16 foo.example.org. mandatory=alpn,ipv4hint alpn="h2,h3-19" ipv4hint=192.0.2.1
SVCB 16 foo.example.org. alpn=f\\\092oo\092,bar,h2 => SVCB 16 foo.example.org. alpn="f\\\\oo\\,bar,h2"
SVCB 1 a. ipv6hint="2001:db8:122:344::192.0.2.33" => SVCB 1 a. ipv6hint=2001:db8:122:344::c000:221
SVCB 1 a. port="443" key1=\002h2 key2= => SVCB 1 a. alpn="h2" no-default-alpn port=443
SVCB 1 . dohpath=/q{?dns} ohttp tls-supported-groups=29,23 docpath=a,b => SVCB 1 . key7="/q{?dns}" key8 key9="\000\029\000\023" key10="\001a\001b"
SVCB 1 . docpath => SVCB 1 . key10
HTTPS 0 a. port=1 => HTTPS 0 a. port=1
TYPE65400 \# 2 ab cd => TYPE65400 \# 2 ABCD
"##;

/// Text that is refused: the type and tokens, the token at fault and the offset in it, part of the message.
const REFUSED: &str = r##"
A => 0 0 expected an IPv4 address, but the record ends here
A 1.2.3 => 0 0 expected an IPv4 address
A 01.2.3.4 => 0 0 expected an IPv4 address
A 1.2.3.256 => 0 0 expected an IPv4 address
A "1.2.3.4" => 0 0 without quotes
A 1.2.3.4 5 => 1 0 expected the end of the record
A \# 5 0102030405 => 2 0 left over
A \# 3 010203 => 2 0 ends inside a field
A \# 4 010203 => 2 0 expected 4 octets of hex as declared, found 3
A \# 4 0102030x => 2 7 expected hex digits
A \# 4 01 02030 => 3 4 expected hex digits
A \# => 1 0 expected a decimal number, but the record ends here
A \# 65536 00 => 1 0 expected a number from 0 to 65535
AAAA 1::2::3 => 0 0 expected an IPv6 address
AAAA fe80::1%eth0 => 0 0 expected an IPv6 address
NS => 0 0 expected a domain name, but the record ends here
NS a..b => 0 0 a label is empty
NS a\256. => 0 0 three digits
NS "a." => 0 0 without quotes
NULL abcd => 0 0 this type has no text form
TYPE65400 abcd => 0 0 this type has no text form
TYPE65400 => 0 0 this type has no text form
SOA a. b. 1 2 3 4 => 6 0 but the record ends here
SOA a. b. 1h 2 3 4 5 => 2 1 expected a decimal number
SOA a. b. 1 2x 3 4 5 => 3 0 expected seconds
SOA a. b. 4294967296 2 3 4 5 => 2 0 expected a number from 0 to 4294967295
MX 65536 a. => 0 0 expected a number from 0 to 65535
MX -1 a. => 0 0 expected a decimal number
TXT => 0 0 expected a character-string, but the record ends here
TXT ok a\300 => 1 1 three digits
TXT \# 1 xx => 2 0 expected hex digits
HINFO PC => 1 0 but the record ends here
X25 123 => 0 0 expected at least four digits
X25 31106170095x => 0 0 expected at least four digits
ISDN a b c => 2 0 expected the end of the record
NSAP 47 => 0 0 expected an NSAP address
NSAP 0x => 0 0 expected an NSAP address
NSAP 0x4 => 0 0 expected an NSAP address
SRV 0 0 0 => 3 0 expected a domain name, but the record ends here
NAPTR 1 1 a b c => 5 0 but the record ends here
RRSIG A 8 2 1h 20200101000000 20190101000000 1 a. AQID => 3 1 expected a decimal number
RRSIG A 8 2 60 20200230000000 20190101000000 1 a. AQID => 4 6 expected a date
RRSIG A 8 2 60 2020010100000 20190101000000 1 a. AQID => 4 0 expected a date
RRSIG A 8 2 60 20200101000000 4294967296 1 a. AQID => 5 0 expected a number from 0 to 4294967295
RRSIG A 8 2 60 20200101000000 20190101000000 1 a. => 8 0 expected base64 with its padding, but
RRSIG A 8 2 60 20200101000000 20190101000000 1 a. AQI => 8 0 expected base64
RRSIG A 8 2 60 20200101000000 20190101000000 1 a. AQ ID!A== => 9 2 expected base64
RRSIG A 8 2 60 20200101000000 20190101000000 1 a. AA==AA== => 8 2 expected base64
RRSIG A 8 2 60 20200101000000 20190101000000 1 a. AB== => 8 1 expected base64
RRSIG NOPE 8 2 60 20200101000000 20190101000000 1 a. AQID => 0 0 expected a record type
RRSIG A NOPE 2 60 20200101000000 20190101000000 1 a. AQID => 1 0 expected a number or a registered mnemonic
RRSIG A 256 2 60 20200101000000 20190101000000 1 a. AQID => 1 0 expected a number from 0 to 255
KEY 256 3 8 => 3 0 expected a key in base64, but the record ends here
DNSKEY 256 3 8 => 3 0 but the record ends here
DNSKEY ZONE|NOPE 3 8 AQID => 0 0 expected flags
CDNSKEY 0 3 0 => 3 0 but the record ends here
DS 1 8 2 ABCD => 3 0 the length of the digest
DS 1 8 2 => 3 0 but the record ends here
CDS 0 0 0 0 => 3 0 expected hex digits
SSHFP 1 1 12 => 2 0 the length of the digest
ZONEMD 1 1 240 ABCD => 3 0 the length of the digest
TLSA 3 1 1 => 3 0 but the record ends here
IPSECKEY 10 0 2 . => 4 0 expected a key in base64, but
IPSECKEY 10 0 2 x. AQID => 3 0 as the kind 0 is no gateway
IPSECKEY 10 1 2 x. AQID => 3 0 expected an IPv4 address
IPSECKEY 10 4 2 x. AQID => 1 0 expected a number from 0 to 3
AMTRELAY 10 2 0 . => 1 0 expected a number from 0 to 1
AMTRELAY 10 0 4 00 => 2 0 expected a number from 0 to 3
AMTRELAY 10 1 0 => 3 0 but the record ends here
NSEC b. NOPE => 1 0 expected a record type
NXT b. => 1 0 expected a record type from 1 to 127
NXT b. TYPE128 => 1 0 expected a record type from 1 to 127
NSEC3 1 0 0 aab 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR => 3 2 expected a salt
NSEC3 1 0 0 - 2T7B4G4V => 4 0 the length of the digest
NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJW => 4 31 expected a hash
NSEC3 1 0 65536 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR => 2 0 expected a number from 0 to 65535
HIP 2 20 => 2 0 but the record ends here
HIP 2 2 AQID => 1 0 expected a host identity tag
LOC 91 N 0 E 0 => 0 0 expected a number from 0 to 90
LOC 90 0 0.001 N 180 W 0 => 2 0 expected at most 90 degrees
LOC 42 60 N 71 W 0 => 1 0 expected minutes from 0 to 59
LOC 42 1 60 N 71 W 0 => 2 0 expected seconds from 0 to 59.999
LOC 42 1 5.0001 N 71 W 0 => 2 0 expected seconds
LOC 42 1 5 6 N 71 W 0 => 3 0 expected N or S
LOC 42 E 71 W 0 => 1 0 expected minutes
LOC 42 N 71 W => 4 0 but the record ends here
LOC 42 N 71 W -100000.01 => 4 0 expected an altitude
LOC 42 N 71 W 42849672.96 => 4 0 expected an altitude
LOC 42 N 71 W 1.234 => 4 0 expected an altitude
LOC 42 N 71 W 0 90000000.01m => 5 0 expected metres from 0 to 90000000.00
LOC 42 N 71 W 0 1 1 1 1 => 8 0 expected the end of the record
APL 1:192.168.32.0/33 => 0 0 expected a number from 0 to 32
APL 2:::/129 => 0 0 expected a number from 0 to 128
APL 1:::/1 => 0 0 expected an address of the family
APL 3:00/1 => 0 0 expected the address family
APL 1:1.2.3.4 => 0 0 expected an address prefix
NID 1 00014:4fff:ff20:ee64 => 1 0 expected four groups
NID 1 14:4fff:ff20: => 1 0 expected four groups
NID 1 14:4fff:ff20:+e => 1 0 expected four groups
L64 1 1:2:3:4:5 => 1 0 expected four groups
NID 1 0014:4fff:ff20 => 1 0 expected four groups
EUI48 00:00:5e:00:53:2a => 0 0 expected an EUI-48
EUI48 00-00-5e-00-53-2a-00 => 0 0 expected an EUI-48
EUI64 00-00-5e-00-53-2a => 0 0 expected an EUI-64
EUI48 00-00-5e-00-53-2g => 0 0 expected an EUI-48
CAA 256 issue "a" => 0 0 expected a number from 0 to 255
CAA 0 iss-ue "x" => 1 0 expected a tag of letters and digits
CAA 0 "issue" "x" => 1 0 without quotes
CAA 0 issue => 2 0 but the record ends here
URI 1 1 "a" "b" => 3 0 expected the end of the record
DOA 0 1 2 "" => 4 0 but the record ends here
DSYNC CDS NOPE 1 a. => 1 0 expected a number or a registered mnemonic
SVCB 1 . key123=abc key123=def => 3 0 expected each service parameter once
SVCB 1 . mandatory => 2 9 expected keys
SVCB 1 . alpn => 2 4 the value of service parameter 1
SVCB 1 . port => 2 4 expected a port
SVCB 1 . ipv4hint => 2 8 expected IPv4 addresses
SVCB 1 . ipv6hint => 2 8 expected IPv6 addresses
SVCB 1 . ipv4hint=1.2.3.4, => 2 9 expected IPv4 addresses
SVCB 1 . alpn=h2 no-default-alpn="abc" => 3 17 the value of service parameter 2
SVCB 1 . mandatory=key123 => 2 0 `mandatory` lists service parameter 123
SVCB 1 . mandatory=mandatory => 2 10 `mandatory` lists service parameter 0
SVCB 1 . mandatory=key123,key123 key123=abc => 2 10 the value of service parameter 0
SVCB 1 . mandatory=alpn,key1 alpn=h2 => 2 10 the value of service parameter 0
SVCB 1 . port=1 no-default-alpn => 3 0 `no-default-alpn` needs `alpn`
SVCB 1 . alpn=h2,,h3 => 2 5 the value of service parameter 1
SVCB 1 . alpn=h2\\x => 2 5 inside a list
SVCB 1 . port=65536 => 2 5 expected a port
SVCB 1 . key3=443 => 2 5 the value of service parameter 3
SVCB 1 . key65535=x => 2 0 expected a service parameter
SVCB 1 . key65536=x => 2 0 expected a service parameter
SVCB 1 . key007=x => 2 0 expected a service parameter
SVCB 1 . KEY7=x => 2 0 expected a service parameter
SVCB 1 . ALPN=h2 => 2 0 expected a service parameter
SVCB 1 . nope=1 => 2 0 expected a service parameter
SVCB 1 . ech= => 2 4 the value of service parameter 5
SVCB 1 . ech=AQI => 2 4 expected base64
SVCB 1 . ohttp=1 => 2 6 the value of service parameter 8
SVCB 1 . dohpath=/query => 2 8 the value of service parameter 7
SVCB 1 . dohpath=q{?dns} => 2 8 the value of service parameter 7
SVCB 1 . tls-supported-groups=29,29 => 2 21 the value of service parameter 9
SVCB 1 . key667=a\300 => 2 8 three digits
SVCB 1 . port="65536" => 2 6 expected a port
SVCB 1 . "alpn=h2" => 2 0 without quotes
"##;

/// Wire forms that are refused: the type, the octets in hex, why.
const MALFORMED: &[(Type, &str, WireError)] = &[
    (Type::A, "010203", WireError::Short),
    (Type::A, "0102030405", WireError::Trailing),
    (Type::NS, "", WireError::Name(NameError::Short)),
    (Type::NS, "c000", WireError::Name(NameError::Pointer)),
    (Type::NS, "4100", WireError::Name(NameError::LabelType)),
    (Type::MX, "00", WireError::Short),
    (Type::TXT, "", WireError::Empty),
    (Type::TXT, "0261", WireError::Short),
    (Type::TXT, "016102", WireError::Short),
    (Type::X25, "03313131", WireError::PsdnAddress),
    (Type::CAA, "0000", WireError::Empty),
    (Type::CAA, "00012d", WireError::Tag),
    (Type::CAA, "000561", WireError::Short),
    (Type::NSEC, "00000100", WireError::Bitmap),
    (Type::NSEC, "0000", WireError::Short),
    (Type::NXT, "00", WireError::Bitmap),
    (Type::NXT, "0080", WireError::Bitmap),
    (Type::LOC, "01123456800000008000000000989680", WireError::Location),
    (Type::LOC, "00a23456800000008000000000989680", WireError::Location),
    (Type::LOC, "00023456800000008000000000989680", WireError::Location),
    (Type::LOC, "00123456ffffffff8000000000989680", WireError::Location),
    (Type::LOC, "001234568000000080000000009896", WireError::Short),
    (Type::APL, "0001210401020304", WireError::AddressPrefix),
    (Type::APL, "000120050102030405", WireError::AddressPrefix),
    (Type::APL, "0001180401020300", WireError::AddressPrefix),
    (Type::APL, "0003000101", WireError::AddressPrefix),
    (Type::APL, "00012004010203", WireError::Short),
    (Type::IPSECKEY, "0a040201", WireError::Gateway),
    (Type::IPSECKEY, "0a0002", WireError::Empty),
    (Type::IPSECKEY, "0a0102010203", WireError::Short),
    (Type::AMTRELAY, "0a84", WireError::Gateway),
    (Type::DS, "00010802abcd", WireError::DigestLength),
    (Type::DS, "000108c8", WireError::Empty),
    (Type::SSHFP, "0101ab", WireError::DigestLength),
    (Type::ZONEMD, "0000000101f0abcd", WireError::DigestLength),
    (Type::NSEC3, "010000000001ab", WireError::DigestLength),
    (Type::NSEC3, "020000000000", WireError::Empty),
    (Type::KEY, "01000308", WireError::Empty),
    (Type::DNSKEY, "01000308", WireError::Empty),
    (Type::HIP, "000200010101", WireError::Empty),
    (Type::HIP, "010200050101", WireError::Short),
    (Type::SVCB, "000100000300020001000100", WireError::Short),
    (Type::SVCB, "00010000030002000100030002 0001", WireError::ParamOrder),
    (Type::SVCB, "000100000300020001000100030268 32", WireError::ParamOrder),
    (Type::SVCB, "000100ffff0000", WireError::ParamKey),
    (Type::SVCB, "0001000003000101", WireError::ParamValue(3)),
    (Type::SVCB, "00010000010000", WireError::ParamValue(1)),
    (Type::SVCB, "0001000001000100", WireError::ParamValue(1)),
    (Type::SVCB, "0001000004000301 0203", WireError::ParamValue(4)),
    (Type::SVCB, "000100000000020003", WireError::ParamMandatory(3)),
    (Type::SVCB, "000100000000020000", WireError::ParamMandatory(0)),
    (Type::SVCB, "000100000000040003000300030002 0001", WireError::ParamValue(0)),
    (Type::SVCB, "00010000020000", WireError::ParamAlpn),
];

#[test]
fn every_type_reads_and_writes_its_vector() {
    for (text, hex) in rows(VECTORS) {
        let (rtype, wire) = (rtype_of(text), octets(hex));
        for keeps_inner_quotes in [true, false] {
            assert_eq!(parse(text, keeps_inner_quotes), Ok(wire.clone()), "{text}");
        }
        assert_eq!(rdata::check(rtype, &wire), Ok(()), "{text}");
        assert_eq!(written(rtype, &wire), text);
        // The form of unknown types is good for all (RFC 3597 §5).
        let generic = format!("{rtype} \\# {} {hex}", wire.len());
        assert_eq!(parse(&generic, true), Ok(wire), "{generic}");
    }
}

#[test]
fn what_people_write_becomes_one_form() {
    for (text, canonical) in rows(FORMS) {
        let wire = parse(text, true).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(written(rtype_of(text), &wire), canonical, "{text}");
        assert_eq!(parse(canonical, true), Ok(wire), "{canonical}");
    }
}

#[test]
fn bad_text_is_refused_where_it_is_bad() {
    for (text, expected) in rows(REFUSED) {
        let error = parse(text, true).expect_err(text);
        let found = format!("{} {} {}", error.token, error.offset, error);
        let (place, message) = expected.split_at(expected.match_indices(' ').nth(1).expect("two numbers").0);
        assert!(found.starts_with(&format!("{place} ")) && found.contains(message.trim()), "{text}: {found}");
    }
}

#[test]
fn an_error_leaves_the_output_as_it_was() {
    for (text, _) in rows(REFUSED) {
        let mut out = b"before".to_vec();
        let (rtype, owned) = tokens(text, true);
        assert!(parse_tokens(rtype, &borrowed(&owned), &mut out).is_err());
        assert_eq!(out, b"before", "{text}");
    }
}

#[test]
fn malformed_wire_forms_are_refused_and_written_in_hex() {
    for (rtype, hex, error) in MALFORMED {
        let wire = octets(&hex.replace(' ', ""));
        assert_eq!(rdata::check(*rtype, &wire), Err(*error), "{rtype} {hex}");
        let text = written(*rtype, &wire);
        assert!(text.starts_with(&format!("{rtype} \\# {}", wire.len())), "{text}");
    }
}

#[test]
fn one_octet_less_or_more_never_passes_for_fields_of_fixed_length() {
    for text in
        ["A 192.0.2.1", "AAAA ::1", "EUI48 00-00-5e-00-53-2a", "LOC 0 N 0 E 0", "SOA a. b. 1 2 3 4 5", "MX 1 a."]
    {
        let mut wire = parse(text, true).expect("good");
        let short = &wire[..wire.len() - 1];
        assert!(rdata::check(rtype_of(text), short).is_err(), "{text}");
        wire.push(0);
        assert_eq!(rdata::check(rtype_of(text), &wire), Err(WireError::Trailing), "{text}");
    }
}

#[test]
fn strings_and_rdata_are_bounded() {
    let longest = "a".repeat(255);
    assert_eq!(parse(&format!("TXT {longest}"), true).map(|wire| wire.len()), Ok(256));
    let error = parse(&format!("TXT b {longest}a"), true).expect_err("256 octets");
    assert_eq!((error.token, error.cause), (1, rdata::TextCause::StringTooLong));
    // A CAA value and a URI have no length octet, and so no such limit.
    assert_eq!(parse(&format!("CAA 0 issue {longest}aaa"), true).map(|wire| wire.len()), Ok(2 + 5 + 258));

    let strings = |count: usize| format!("TXT{}", format!(" {longest}").repeat(count));
    assert_eq!(parse(&strings(255), true).map(|wire| wire.len()), Ok(65_280));
    let error = parse(&strings(256), true).expect_err("65536 octets");
    assert_eq!(error.cause, rdata::TextCause::Invalid(WireError::TooLong));
    assert_eq!(rdata::check(Type(65_400), &vec![0; rdata::RDATA_BYTES_MAX]), Ok(()));
    assert_eq!(rdata::check(Type(65_400), &vec![0; rdata::RDATA_BYTES_MAX + 1]), Err(WireError::TooLong));

    // A salt of 255 octets fits its length octet, one of 256 does not.
    assert_eq!(parse(&format!("NSEC3PARAM 1 0 0 {}", "ab".repeat(255)), true).map(|wire| wire.len()), Ok(260));
    assert!(parse(&format!("NSEC3PARAM 1 0 0 {}", "ab".repeat(256)), true).is_err());
    // A parameter of over 65535 octets must not wrap its length (CVE-2026-12244 of another server).
    let error = parse(&format!("SVCB 1 . key9999={}", "a".repeat(65_536)), true).expect_err("too long");
    assert_eq!((error.token, error.cause), (2, rdata::TextCause::Invalid(WireError::TooLong)));
    assert!(parse(&format!("SVCB 1 . key9999={}", "a".repeat(65_535)), true).is_err());
}

#[test]
fn relative_names_need_an_origin() {
    let token = [Token { text: b"a", is_quoted: false }];
    let error = rdata::parse(Type::NS, &token, None, &mut Vec::new()).expect_err("no origin");
    assert_eq!(error.cause, rdata::TextCause::Name(NameError::NoOrigin));
}

#[test]
fn names_are_found_with_their_kind() {
    for (text, expected) in [
        ("A 192.0.2.1", &[][..]),
        ("SOA A. bc. 1 2 3 4 5", &[(0, "A.", true), (3, "bc.", true)]),
        ("MX 1 Mail.", &[(2, "Mail.", true)]),
        ("SRV 1 2 3 T.", &[(6, "T.", false)]),
        ("RRSIG A 8 2 60 0 0 1 S. AQID", &[(18, "S.", false)]),
        ("NAPTR 1 2 a b c R.", &[(10, "R.", false)]),
        ("NSEC N. A", &[(0, "N.", false)]),
        ("HIP 2 AB AQID a. B.", &[(8, "a.", false), (11, "B.", false)]),
        ("HIP 2 AB AQID", &[]),
        ("IPSECKEY 1 3 2 G. AQID", &[(3, "G.", false)]),
        ("IPSECKEY 1 1 2 192.0.2.1 AQID", &[]),
        ("AMTRELAY 1 1 3 R.", &[(2, "R.", false)]),
        ("SVCB 1 T. port=1", &[(2, "T.", false)]),
        ("TYPE65400 \\# 3 016100", &[]),
    ] {
        let wire = parse(text, true).expect(text);
        let found: Vec<_> = rdata::names(rtype_of(text), &wire)
            .map(|found| (found.offset, found.name.to_string(), found.is_compressible))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(at, name, flag)| (*at, (*name).to_owned(), *flag)).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn canonical_form_lowers_the_names_of_the_listed_types_only() {
    for (text, canonical) in [
        ("NS Ns.", "NS ns."),
        ("SOA A. B. 1 2 3 4 5", "SOA a. b. 1 2 3 4 5"),
        ("NAPTR 1 2 \"A\" \"B\" \"C\" R.", "NAPTR 1 2 \"A\" \"B\" \"C\" r."),
        ("SRV 1 2 3 T.", "SRV 1 2 3 t."),
        ("DNAME D.", "DNAME d."),
        ("RP A. B.", "RP a. b."),
        ("KX 1 K.", "KX 1 k."),
        (
            "RRSIG A 8 2 60 19700101000000 19700101000000 1 S. QUJD",
            "RRSIG A 8 2 60 19700101000000 19700101000000 1 s. QUJD",
        ),
        // RFC 6840 §5.1 takes NSEC off the list; HIP, IPSECKEY, LP and SVCB came after it.
        ("NSEC N. A", "NSEC N. A"),
        ("SVCB 1 T.", "SVCB 1 T."),
        ("LP 1 L.", "LP 1 L."),
        ("HIP 2 AB AQID R.", "HIP 2 AB AQID R."),
        ("TXT \"Aa\"", "TXT \"Aa\""),
    ] {
        let mut out = b"AB".to_vec();
        rdata::write_canonical(rtype_of(text), &parse(text, true).expect(text), &mut out);
        assert_eq!(out.get(..2), Some(&b"AB"[..]), "what stood before is left alone");
        assert_eq!(written(rtype_of(text), &out[2..]), canonical);
    }
}

#[test]
fn compressed_names_are_read_where_rfc_3597_allows_it() {
    // At 0 `example.`, at 9 the RDATA.
    let with = |tail: &[u8]| [b"\x07example\0", tail].concat();
    let decompress = |rtype: Type, tail: &[u8]| {
        let (message, mut out) = (with(tail), b"x".to_vec());
        rdata::decompress(rtype, &message, 9, tail.len(), &mut out).map(|()| out[1..].to_vec())
    };
    assert_eq!(decompress(Type::MX, b"\x00\x0a\x04mail\xc0\x00"), Ok(b"\x00\x0a\x04mail\x07example\0".to_vec()));
    assert_eq!(decompress(Type::SRV, b"\0\0\0\0\0\0\xc0\x00"), Ok(b"\0\0\0\0\0\0\x07example\0".to_vec()));
    let soa = [b"\xc0\x00\x01h\xc0\x00".as_slice(), &[0; 20]].concat();
    let plain = [b"\x07example\0\x01h\x07example\0".as_slice(), &[0; 20]].concat();
    assert_eq!(decompress(Type::SOA, &soa), Ok(plain));
    for rtype in [Type::DNAME, Type::KX, Type::NSEC, Type::LP, Type::SVCB, Type::NSAP_PTR] {
        let tail: &[u8] = if matches!(rtype, Type::KX | Type::LP | Type::SVCB) { b"\0\x01\xc0\0" } else { b"\xc0\0" };
        assert_eq!(decompress(rtype, tail), Err(WireError::Name(NameError::Pointer)), "{rtype}");
    }
    // Unknown types are taken octet by octet; a name must end inside the RDATA, and nothing may be left.
    assert_eq!(decompress(Type(65_400), b"\xc0\x00"), Ok(b"\xc0\x00".to_vec()));
    assert_eq!(decompress(Type::NS, b"\x02a"), Err(WireError::Name(NameError::Short)));
    assert_eq!(decompress(Type::NS, b"\xc0\x00\x00"), Err(WireError::Trailing));
    assert_eq!(decompress(Type::NS, b"\xc0\x09"), Err(WireError::Name(NameError::Pointer)));
    let mut out = Vec::new();
    assert_eq!(rdata::decompress(Type::A, &[0; 4], 1, 4, &mut out), Err(WireError::Short));
    assert_eq!(rdata::decompress(Type::A, &[0; 4], usize::MAX, 4, &mut out), Err(WireError::Short));
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Octets of any kind under any type: nothing panics, and what passes the check reads back from its text.
    #[test]
    fn random_octets_never_panic_and_read_back(
        number in 0_u16..300, octets in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        for rtype in [Type(number), Type::TA, Type::DLV] {
            exercise(rtype, &octets);
        }
    }

    /// The vectors with some octets changed, cut and grown come near enough to being good to pass now and then.
    #[test]
    fn spoilt_vectors_read_back_where_they_pass(
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        tail in prop::collection::vec(any::<u8>(), 0..4),
        keeps_all in any::<bool>(),
    ) {
        for (text, hex) in rows(VECTORS) {
            let mut wire = octets(hex);
            if !keeps_all {
                wire.truncate(cut.index(wire.len() + 1));
                wire.extend_from_slice(&tail);
            }
            for (at, octet) in &changes {
                if !wire.is_empty() {
                    let at = at.index(wire.len());
                    wire[at] = *octet;
                }
            }
            exercise(rtype_of(text), &wire);
        }
    }

    /// Tokens of any kind under any type never panic, and what is read passes the check.
    #[test]
    fn random_tokens_never_panic(
        number in 0_u16..300,
        texts in prop::collection::vec(("[ -~]{0,12}", any::<bool>()), 0..8),
    ) {
        let tokens: Vec<_> =
            texts.iter().map(|(text, is_quoted)| Token { text: text.as_bytes(), is_quoted: *is_quoted }).collect();
        let mut out = Vec::new();
        if parse_tokens(Type(number), &tokens, &mut out).is_ok() {
            prop_assert_eq!(rdata::check(Type(number), &out), Ok(()));
        }
    }
}

/// Runs everything over one RDATA; what passes the check must read back.
fn exercise(rtype: Type, wire: &[u8]) {
    let text = written(rtype, wire);
    assert!(rdata::names(rtype, wire).count() <= wire.len());
    let mut out = Vec::new();
    rdata::write_canonical(rtype, wire, &mut out);
    assert!(out.eq_ignore_ascii_case(wire));
    out.clear();
    let decompressed = rdata::decompress(rtype, wire, 0, wire.len(), &mut out);
    if rdata::check(rtype, wire).is_ok() {
        assert_eq!(decompressed, Ok(()), "{text}");
        assert_eq!(out, wire, "{text}");
        for keeps_inner_quotes in [true, false] {
            assert_eq!(parse(&text, keeps_inner_quotes), Ok(wire.to_vec()), "{text}");
        }
    }
}

/// The rows of a table `left => right`.
fn rows(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter(|line| !line.is_empty()).map(|line| {
        let (left, right) = line.split_once(" =>").expect("a row has an arrow");
        (left, right.trim())
    })
}

/// The type that a text begins with.
fn rtype_of(text: &str) -> Type {
    tokens(text, true).0
}

/// The octets of a hex string.
fn octets(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("good hex")
}

/// The type and the text of RDATA.
fn written(rtype: Type, wire: &[u8]) -> String {
    let mut text = format!("{rtype} ");
    rdata::write_text(rtype, wire, &mut text);
    text.trim_end().to_owned()
}

/// Reads `type tokens…`.
fn parse(text: &str, keeps_inner_quotes: bool) -> Result<Vec<u8>, TextError> {
    let (rtype, owned) = tokens(text, keeps_inner_quotes);
    let mut out = Vec::new();
    parse_tokens(rtype, &borrowed(&owned), &mut out).map(|()| out)
}

/// Borrows the tokens.
fn borrowed(owned: &[(Vec<u8>, bool)]) -> Vec<Token<'_>> {
    owned.iter().map(|(text, is_quoted)| Token { text, is_quoted: *is_quoted }).collect()
}

/// Reads tokens under `origin.example.`.
fn parse_tokens(rtype: Type, tokens: &[Token<'_>], out: &mut Vec<u8>) -> Result<(), TextError> {
    let origin: Name = "origin.example.".parse().expect("a good name");
    rdata::parse(rtype, tokens, Some(origin.as_ref()), out)
}

/// Cuts a line as the reader of a zone file does; quotes inside a token (`key="value"`) are kept or taken off.
fn tokens(text: &str, keeps_inner_quotes: bool) -> (Type, Vec<(Vec<u8>, bool)>) {
    let mut tokens: Vec<(Vec<u8>, bool)> = Vec::new();
    let (mut token, mut is_in_quotes, mut is_open, mut starts_quoted) = (Vec::new(), false, false, false);
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b' ' if !is_in_quotes => {
                if is_open {
                    tokens.push((core::mem::take(&mut token), starts_quoted));
                }
                (is_open, starts_quoted) = (false, false);
                continue;
            }
            b'"' => {
                is_in_quotes = !is_in_quotes;
                starts_quoted |= !is_open;
                if keeps_inner_quotes && !starts_quoted {
                    token.push(octet);
                }
            }
            b'\\' => token.extend([octet].into_iter().chain(rest.next())),
            _ => token.push(octet),
        }
        is_open = true;
    }
    if is_open {
        tokens.push((token, starts_quoted));
    }
    let (rtype, _) = tokens.remove(0);
    (Type::from_text(&rtype).expect("a type"), tokens)
}
