import { isIP, type LookupFunction } from 'node:net';

/** A look-up that asks nobody: whatever the name, it has these IP addresses, to be tried in this order. */
export function lookUpAs(addresses: readonly string[]): LookupFunction {
  const found = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, { all }, done) => {
    const [first] = found;
    if (all === true || first === undefined) done(null, found);
    else done(null, first.address, first.family);
  };
}
