/** What a `caCertificate` must be, as the end of a sentence. Apart, since the page says it too. */
export const certificateRule = 'one or more certificates in PEM, without a private key';
