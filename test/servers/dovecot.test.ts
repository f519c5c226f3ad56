import { testMailServer } from './behaviours.ts';
import { startMailServer } from './mailServers.ts';

testMailServer('Dovecot', startMailServer.Dovecot);
