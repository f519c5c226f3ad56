import { testMailServer } from './behaviours.ts';
import { startMailServer } from './mailServers.ts';

testMailServer('Cyrus', startMailServer.Cyrus);
