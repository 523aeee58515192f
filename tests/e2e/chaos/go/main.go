// The framework of the chaos tests on the mesos-go library; what it does and writes down is as in
// scheduler.c beside this folder. It is one from before partitions and several roles: a task on an
// agent that cannot be reached is LOST to it, and may be found again.
//
//	scheduler --master=HOST:PORT,... --log=FILE --stop=FILE --task=PROGRAM --seed=N
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/encoding/codecs"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/callrules"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/controller"
	"github.com/mesos/mesos-go/api/v1/lib/extras/scheduler/eventrules"
	"github.com/mesos/mesos-go/api/v1/lib/extras/store"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli"
	"github.com/mesos/mesos-go/api/v1/lib/httpcli/httpsched"
	"github.com/mesos/mesos-go/api/v1/lib/resources"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/calls"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler/events"
)

const (
	cpus      = 0.2
	mem       = 32
	maxOpen   = 12
	answer    = 5 * time.Second // without news of a task for so long it is asked for
	silence   = 5 * time.Second // without any event for so long the master is given up
	failover  = time.Hour
	oneSecond = time.Second
)

type entry map[string]interface{}

type task struct {
	agent   string
	running bool
	news    time.Time
}

type framework struct {
	program, stop string
	file          *os.File
	life          int
	launched      int
	open          map[string]*task // launched and not ended
	id            store.Singleton
	caller        calls.Caller
	second        time.Time // of the last look at what is under way
}

func (f *framework) put(what string, line entry) {
	line["t"] = float64(time.Now().UnixNano()) / 1e9
	line["life"] = f.life
	line["what"] = what
	text, err := json.Marshal(line)
	if err == nil {
		_, err = f.file.Write(append(text, '\n'))
	}
	if err != nil {
		log.Fatal(err)
	}
}

// heard keeps the books of what is under way.
func (f *framework) heard(id, agent, state string) {
	switch state {
	case "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE",
		"TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN", "TASK_LOST":
		delete(f.open, id)
	default:
		f.open[id] = &task{agent: agent, running: state == "TASK_RUNNING", news: time.Now()}
	}
}

// remember reads what the processes before this one have written.
func (f *framework) remember(path string) {
	file, err := os.Open(path)
	if err == nil {
		defer file.Close()
		for lines := bufio.NewScanner(file); lines.Scan(); {
			var line struct{ What, Framework, Task, Agent, State string }
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				log.Fatal(err)
			}
			switch line.What {
			case "start":
				f.life++
			case "subscribed":
				f.id.Set(line.Framework)
			case "launch":
				f.heard(line.Task, line.Agent, "")
			case "update":
				f.heard(line.Task, line.Agent, line.State)
			}
		}
	}
	f.life++
}

// call sends one; an error ends the subscription, so that nothing is in doubt for long.
func (f *framework) call(ctx context.Context, call *scheduler.Call) error {
	err := calls.CallNoData(ctx, f.caller, call)
	if err != nil {
		f.put("failed", entry{"call": call.GetType().String(), "why": err.Error()})
	}
	return err
}

func (f *framework) reconcile(ctx context.Context, all bool) error {
	asked := map[string]string{}
	for id, t := range f.open {
		if all || time.Since(t.news) > answer {
			asked[id], t.news = t.agent, time.Now()
		}
	}
	if len(asked) == 0 {
		return nil
	}
	f.put("reconcile", entry{"tasks": len(asked)})
	return f.call(ctx, calls.Reconcile(calls.ReconcileTasks(asked)))
}

func (f *framework) task(offer *mesos.Offer, found mesos.Resources) mesos.TaskInfo {
	f.launched++
	seconds := []float64{0.5, 2, 5, 15}[rand.Intn(4)] * rand.Float64()
	status := 0
	if rand.Float64() < 0.1 {
		status = 3
	}
	id := fmt.Sprintf("go-%d-%d", f.life, f.launched)
	shell, command := true, fmt.Sprintf("exec %s %s %.2f %d", f.program, id, seconds, status)
	f.heard(id, offer.AgentID.Value, "")
	f.put("launch", entry{"task": id, "offer": offer.ID.Value, "agent": offer.AgentID.Value,
		"cpus": cpus, "status": status})
	return mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: offer.AgentID,
		Resources: found, Command: &mesos.CommandInfo{Shell: &shell, Value: &command}}
}

func (f *framework) offers(ctx context.Context, e *scheduler.Event) error {
	_, err := os.Stat(f.stop)
	stop := err == nil
	demand := mesos.Resources{resources.NewCPUs(cpus).Resource, resources.NewMemory(mem).Resource}
	for i := range e.GetOffers().GetOffers() {
		offer := &e.GetOffers().Offers[i]
		remaining := mesos.Resources(offer.Resources)
		all, _ := resources.CPUs(remaining...)
		f.put("offer", entry{"offer": offer.ID.Value, "agent": offer.AgentID.Value, "cpus": all})
		if !stop && rand.Float64() < 0.1 {
			continue // held, until it is rescinded
		}
		var launch []mesos.TaskInfo
		for n := rand.Intn(4); !stop && len(launch) < n && len(f.open) < maxOpen; {
			found := resources.Find(demand, remaining...)
			if len(found) == 0 {
				break
			}
			remaining.Subtract(found...)
			launch = append(launch, f.task(offer, found))
		}
		call, what := calls.Decline(offer.ID).With(calls.RefuseSeconds(oneSecond)), "decline"
		if len(launch) > 0 {
			call, what = calls.Accept(calls.OfferOperations{calls.OpLaunch(launch...)}.
				WithOffers(offer.ID)).With(calls.RefuseSeconds(oneSecond/2)), "accept"
		}
		f.put(what, entry{"offer": offer.ID.Value})
		if err := f.call(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

func (f *framework) update(ctx context.Context, e *scheduler.Event) error {
	status := e.GetUpdate().GetStatus()
	id, agent, state := status.TaskID.Value, status.GetAgentID().GetValue(), status.GetState().String()
	reason, source := "", ""
	if status.Reason != nil {
		reason = status.GetReason().String()
	}
	if status.Source != nil {
		source = status.GetSource().String()
	}
	uuid := hex.EncodeToString(status.GetUUID())
	f.put("update", entry{"task": id, "state": state, "agent": agent, "uuid": uuid,
		"reason": reason, "source": source, "message": status.GetMessage()})
	f.heard(id, agent, state)
	if uuid == "" {
		return nil
	}
	f.put("acknowledge", entry{"task": id, "uuid": uuid})
	return f.call(ctx, calls.Acknowledge(agent, id, status.GetUUID()))
}

func (f *framework) subscribed(ctx context.Context, e *scheduler.Event) error {
	f.put("subscribed", entry{"framework": e.GetSubscribed().GetFrameworkID().GetValue(),
		"master": e.GetSubscribed().GetMasterInfo().GetID()})
	return f.reconcile(ctx, true)
}

// now and then kills a task, and asks for what it has not heard of. Heartbeats come each second.
func (f *framework) tend(ctx context.Context) error {
	if time.Since(f.second) < oneSecond {
		return nil
	}
	f.second = time.Now()
	for id, t := range f.open {
		if t.running && rand.Float64() < 0.03 {
			f.put("kill", entry{"task": id})
			if err := f.call(ctx, calls.Kill(id, t.agent)); err != nil {
				return err
			}
		}
	}
	return f.reconcile(ctx, false)
}

// run subscribes with one master, or with the one that it names, until the subscription ends.
func (f *framework) run(master string, media string) {
	ctx, cancel := context.WithCancel(context.Background())
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()
	client := httpcli.New(httpcli.Endpoint("http://"+master+"/api/v1/scheduler"),
		httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeProtobuf]))
	if media == codecs.NameJSON {
		client.With(httpcli.Codec(codecs.ByMediaType[codecs.MediaTypeJSON]))
	}
	f.caller = callrules.New(callrules.WithFrameworkID(store.GetIgnoreErrors(f.id))).
		Caller(httpsched.NewCaller(client))
	handler := eventrules.New(
		func(ctx context.Context, e *scheduler.Event, err error, chain eventrules.Chain) (
			context.Context, *scheduler.Event, error) {
			watchdog.Reset(silence)
			return chain(ctx, e, err)
		},
		controller.LiftErrors(), controller.TrackSubscription(f.id, failover)).
		Handle(events.Handlers{
			scheduler.Event_SUBSCRIBED: events.HandlerFunc(f.subscribed),
			scheduler.Event_OFFERS:     events.HandlerFunc(f.offers),
			scheduler.Event_UPDATE:     events.HandlerFunc(f.update),
			scheduler.Event_RESCIND: events.HandlerFunc(
				func(_ context.Context, e *scheduler.Event) error {
					f.put("rescind", entry{"offer": e.GetRescind().GetOfferID().Value})
					return nil
				}),
		}.Otherwise(func(ctx context.Context, _ *scheduler.Event) error { return f.tend(ctx) }))
	timeout, checkpoint := failover.Seconds(), true
	info := &mesos.FrameworkInfo{User: "root", Name: "go", Checkpoint: &checkpoint,
		FailoverTimeout: &timeout, Capabilities: []mesos.FrameworkInfo_Capability{
			{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE}}}
	if id, err := f.id.Get(); err == nil {
		info.ID = &mesos.FrameworkID{Value: id}
	}
	controller.Run(ctx, info, f.caller, controller.WithEventHandler(handler),
		controller.WithFrameworkID(store.GetIgnoreErrors(f.id)),
		controller.WithSubscriptionTerminated(func(err error) {
			f.put("disconnected", entry{"why": fmt.Sprint(err)})
			cancel()
		}))
}

func main() {
	masters := flag.String("master", "", "where masters may be, HOST:PORT,...")
	path := flag.String("log", "", "what is told and asked for, and read again at the start")
	seed := flag.Int64("seed", 0, "of what it does by chance")
	f := &framework{open: map[string]*task{}, id: store.NewInMemorySingleton()}
	flag.StringVar(&f.stop, "stop", "", "launch nothing once this file is there")
	flag.StringVar(&f.program, "task", "", "the program of tasks")
	flag.Parse()

	f.remember(*path)
	var err error
	if f.file, err = os.OpenFile(*path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644); err != nil {
		log.Fatal(err)
	}
	f.put("start", entry{"pid": os.Getpid()})
	rand.Seed(*seed*1000 + int64(f.life))
	media := []string{codecs.NameProtobuf, codecs.NameJSON}[f.life%2]
	where := strings.Split(*masters, ",")
	for n := rand.Intn(len(where)); ; n++ {
		f.run(where[n%len(where)], media)
		time.Sleep(time.Duration(200+rand.Intn(400)) * time.Millisecond)
	}
}
