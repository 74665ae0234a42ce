import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { type CertificateOptions, type Issued, issueCertificate } from './issue-certificate.ts'

// Attestation certificates: base64 of DER.

/** The key of every leaf, but for {@link ED25519_LEAF} and {@link LARGE_EXPONENT_LEAF}. */
export const LEAF_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

const root = issueCertificate({ subject: 'Attestation Root' })
const intermediate = issueCertificate({ subject: 'Attestation CA', issuer: root, ca: true })
const noCa = issueCertificate({ subject: 'No CA', issuer: root })
const issueLeaf = (options: Partial<CertificateOptions> = {}): string =>
  encode(issueCertificate({ subject: 'Authenticator', issuer: root, privateKey: LEAF_KEY, ...options }))

/** The root of the vendor that attests. */
export const ROOT = encode(root)

/** A CA that {@link ROOT} issued. */
export const INTERMEDIATE = encode(intermediate)

/** Issued by {@link INTERMEDIATE}; its AAID extension has F1D0#0001. */
export const LEAF = issueLeaf({ issuer: intermediate, aaid: 'F1D0#0001' })

/** Issued by {@link ROOT}, without an AAID extension. */
export const PLAIN_LEAF = issueLeaf()

/** Issued by {@link ROOT}; its AAID extension has F1D0#0001 without the inner layer of DER. */
export const RAW_AAID_LEAF = issueLeaf({ rawAaid: 'F1D0#0001' })

/** Issued by {@link ROOT}, and not a CA. */
export const NO_CA = encode(noCa)

/** Issued by {@link NO_CA}. */
export const LEAF_OF_NO_CA = issueLeaf({ issuer: noCa })

/** Issued by {@link ROOT}, valid for a day. */
export const EXPIRED_LEAF = issueLeaf({ notAfter: Date.UTC(2026, 0, 2) })

/** Issued by {@link ROOT}; its key is of a kind that no algorithm of UAF takes. */
export const ED25519_LEAF = issueLeaf({ privateKey: generateKeyPairSync('ed25519').privateKey })

/** A root that attests nothing here. */
export const OTHER_ROOT = encode(issueCertificate({ subject: 'Other Root' }))

/** RSA of 2048 bits with the public exponent 2^64 + 1, which node:crypto cannot generate. */
export const LARGE_EXPONENT_KEY = createPrivateKey(`-----BEGIN PRIVATE KEY-----
MIIEwgIBADANBgkqhkiG9w0BAQEFAASCBKwwggSoAgEAAoIBAQCXRfF9a2OVTvzU
CFhYZ7TcjHtu86w4h4fvFz9354ZC7Dhg6ggSPeg3n0/xpGjQn2TViiQ/3udOXvM8
pjqi1oaD6uTe99bjDRXL1YrPx/zWTTjQn7DGEGRJviZK7quLUZ2i+37VxvpX3GSh
FDrMPA8B1WmZ0X8b+GoeS/CA8PKwLdAo3qbh2hocatPOex+9xAgYo1TTDvzhlax7
uKcUI2q+JRPtue97OA0QvomhduaYSAVwE1VV6/5g0VxEG4QDCBKMlLw4atjaqbP4
4KqVg1Jqd/8mpqaiXW+J0JONeeLZqaM5UO1J3fAxYT8DVYlaYS1fgV8gJpeVKb/Q
/toHn9cJAgkBAAAAAAAAAAECggEALpO8Bu+7KLeRwP3KM+RLASZJEETzEuEDCOpN
puSsDcdtuVEhSsuYgYPxlzOcT6vLBXAnzHDaq1zY9JaC0CUqy6O0LCaVu6Kb2Y0T
PsGVafxoWKdUD5wGCSTk+XxJ+X6zzRw5HZZ5oKKaCLlV0zfBheutS/EkAM5GnT9H
UvFVsLEwQ4j2ILYVFh11cXDu5zRqeI++sRkQ3wxx2c5E1nWA9i2tbjh6L3hmMPAX
syTk4veEg+LYWbXO7ISTb4aOnfenPmQjun/oPJSmpZ1+t44qLIXJ/yitEa9L9L2Y
QMuzaZ2zh7DJChYj75wm160ZxYr5nXGbBtVRn+bdUQKJ52PwRwKBgQDUenilWcLh
2YWAf2aY3e2KO39Db9gg5ctF1pYrRaBqBKqYfn/YZlVYz+ylOdkBeglszxH8Kv04
M7TO5egBL1xLb/dvKFQT9yYA370/bakp/714dJFDSTG6sL+ZwjtMrBylwTB+S45k
WO2pznQ1OnOh7qvrbmKhAwcrYS3RKDQjWwKBgQC2Qh0Wwa4NKYCPw5JFcPl9KEMk
VDQX2PsbYy1YgW2fH0UCjI5+LiuDTGbf4jnE+StHccFWtyQrvf3W6UoDy+jsBkNo
qMtzb+ss9wdopDOUAJy+wG0XfHzSHM/j2TCz827AVGAtGpU9Rd1Sa+LF/P51eL23
1us/XzNhhxLEA9wwawKBgC298r1PlWkC4dmfb+ZnE6/CyD7Z+8lZS7btJzPFSZmQ
smFSnfNfRx1dy/sEBfE8wS6tbKUGdTu8HQnh7kR7cR9svc37FXr/6nNAvcyClpWE
P9snFBetH6M+6CXTITTXBnhVVDBCiGIlWiR85ti+GFYjxjWtRlJfsmGx6gmnVexn
AoGAFpdoLOncHM/GopTBeeDS71VZvAN50pImiIlbF/+YFj+3GGfu1v3zNmrQ6HiU
ytfBUIkNNr81Y/Y0ghRjZ9+HZ+deV5bL5j65IJLYxzE+sRME+FRrsA1EpPA9jn8A
4xUlO0lEpDMh6YRFaUGzrxE/hCNEHBHMeTlMvhAZcRD2r6ECgYBDKwtQELh+QLDf
3TE3e4E7MbBBgvS/uyqjn8iRKKxbvJXLPU3x3Hp1HKO/opzfWVhSndpzpAyPiTPd
iU7k1Gl87p5mbuP2CktVnRNuwtrKksvaKZVTP9ATHA0jAoFo0S/lhEivL4Cd4lJM
BZKsVJf6Db5j5gYMxrGokQoMmNNwRA==
-----END PRIVATE KEY-----
`)

export const LARGE_EXPONENT_LEAF = issueLeaf({ privateKey: LARGE_EXPONENT_KEY })

/** Of version 1, which has no extensions, and signed with its own key. */
export const VERSION_1 =
  'MIIBEjCBuQIUGDWXLwMfKnzp53RNuq24G9daekkwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBYTAeFw0yNjExMzAxMjE3MjNaFw0z' +
  'NjExMjcxMjE3MjNaMAwxCjAIBgNVBAMMAWEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATzMsfHSUrq81Oaj87vO7rT6tg1aEe2' +
  'F207wuD3Bl0w1cE0W7eLh7GGQIXsOjsvve3TuD7xPVmz80jT7ikstsViMAoGCCqGSM49BAMCA0gAMEUCIQC734WsXJm7QvoO68rr' +
  '/rjK6zDpOFKzuH+vc5a/2me8XwIgExGOAnMujIldPd4d1hHqmUOuX/EC/3PdLhwllk/kjRs='

function encode({ der }: Issued): string {
  return der.toString('base64')
}
